from app import views
from django.urls import path

urlpatterns = [
    path("chat/", views.lobby, name="lobby"),
    path("chat/<str:room_name>/", views.room, name="room"),
]
