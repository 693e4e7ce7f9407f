"""The servers that are measured, each as small as its framework allows."""
