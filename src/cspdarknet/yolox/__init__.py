"""YOLOX around the backbone: neck, head, boxes, label assignment and losses."""
