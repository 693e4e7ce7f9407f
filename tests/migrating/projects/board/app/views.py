from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpResponse


def announce(request):
    layer = get_channel_layer()
    message = {"type": "announcement", "text": request.GET["text"]}
    async_to_sync(layer.group_send)("announcements", message)
    return HttpResponse("Announced.")
