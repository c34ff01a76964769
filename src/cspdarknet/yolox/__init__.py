"""YOLOX on top of a backbone: neck, head, label assignment, losses, decoding, NMS.

References:
    YOLOX (https://arxiv.org/abs/2107.08430). Outputs, losses and detections are those of the
    official code, https://github.com/Megvii-BaseDetection/YOLOX; the docstrings name its files.
"""
