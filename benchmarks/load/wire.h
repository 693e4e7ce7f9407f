/* WebSocket on the wire (RFC 6455), as far as a load generator needs it.
 *
 * What lives here: building masked and unmasked frames, taking one frame off a buffer, the fixed
 * opening handshake.
 * What must not: connections, event loops, measurements.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>
#include <string.h>

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* RFC 6455 section 1.3: the sample nonce and the answer to it, so neither side needs SHA-1. */
#define SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define MAX_HEADER 14

struct frame {
    uint8_t opcode;
    uint8_t *payload;
    size_t length;
    size_t total; /* header and payload */
};

/* Section 5.2. Returns the bytes written to out, which has room for length + MAX_HEADER. */
static inline size_t build_frame(uint8_t *out, uint8_t opcode, const uint8_t *payload,
                                 size_t length, int masked)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t at = 0;
    uint8_t bit = masked ? 0x80 : 0;
    out[at++] = 0x80 | opcode;
    if (length < 126) {
        out[at++] = bit | (uint8_t)length;
    } else if (length < 65536) {
        out[at++] = bit | 126;
        out[at++] = (uint8_t)(length >> 8);
        out[at++] = (uint8_t)length;
    } else {
        out[at++] = bit | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            out[at++] = (uint8_t)((uint64_t)length >> shift);
    }
    if (masked) {
        memcpy(out + at, key, 4);
        at += 4;
        for (size_t i = 0; i < length; i++)
            out[at + i] = payload[i] ^ key[i & 3];
    } else {
        memcpy(out + at, payload, length);
    }
    return at + length;
}

/* Section 5.2. Takes the frame at the start of data, unmasking it in place: 1, or 0 when it is not
 * complete yet. */
static inline int take_frame(uint8_t *data, size_t length, struct frame *frame)
{
    if (length < 2)
        return 0;
    size_t at = 2;
    uint64_t size = data[1] & 0x7f;
    int extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    int masked = data[1] >> 7;
    if (length < at + (size_t)extra + (masked ? 4 : 0))
        return 0;
    if (extra) {
        size = 0;
        for (int i = 0; i < extra; i++)
            size = size << 8 | data[at++];
    }
    uint8_t *key = data + at;
    if (masked)
        at += 4;
    if (length - at < size)
        return 0;
    if (masked)
        for (size_t i = 0; i < size; i++)
            data[at + i] ^= key[i & 3];
    frame->opcode = data[0] & 0x0f;
    frame->payload = data + at;
    frame->length = (size_t)size;
    frame->total = at + (size_t)size;
    return 1;
}

#endif
