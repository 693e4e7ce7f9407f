# The types of the names in the table of __init__.py, which may not import what knows Django.
from seaway.channel_layers import DEFAULT_CHANNEL_LAYER as DEFAULT_CHANNEL_LAYER
from seaway.channel_layers import ChannelLayerManager as ChannelLayerManager
from seaway.channel_layers import RedisChannelLayer as RedisChannelLayer
from seaway.channel_layers import RedisPubSubChannelLayer as RedisPubSubChannelLayer
from seaway.channel_layers import SeawayChannelLayer as SeawayChannelLayer
from seaway.channel_layers import channel_layers as channel_layers
from seaway.channel_layers import get_channel_layer as get_channel_layer
from seaway.exceptions import ChannelFull as ChannelFull
from seaway.exceptions import InvalidChannelLayerError as InvalidChannelLayerError
from seaway.layers.channels.base import BaseChannelLayer as BaseChannelLayer
from seaway.layers.channels.memory import InMemoryChannelLayer as InMemoryChannelLayer
