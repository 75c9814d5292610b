"""What learned reconstructors left behind (VGGT, VGGT-Long, MASt3R-SLAM), read as recordings like any other.

Start at `recording.py`. A network sees resized and cropped images: `pixel_map.py` says where each pixel came from.
"""
