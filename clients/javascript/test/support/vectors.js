import { readFileSync } from "node:fs";

const file = new URL("../../../../tests/vectors/protocol-v1.json", import.meta.url);

export const vectors = JSON.parse(readFileSync(file, "utf8"));
