from django.http import HttpResponse


def lobby(request):
    return HttpResponse("Which room?")


def room(request, room_name):
    return HttpResponse(f"You are in {room_name}.")
