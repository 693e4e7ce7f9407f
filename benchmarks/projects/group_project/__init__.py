"""One consumer, as people write them, under Seaway and under Channels; GROUP_LAYER says on what."""
