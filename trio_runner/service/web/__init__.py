"""The small web page on the health port."""
