"""Dataset formats: one file for each, and the list of all of them."""

from cspdarknet.data.formats.box_table import BOX_TABLE
from cspdarknet.data.formats.class_folders import CLASS_FOLDERS
from cspdarknet.data.formats.coco import COCO
from cspdarknet.data.formats.createml import CREATEML
from cspdarknet.data.formats.csv_table import CSV
from cspdarknet.data.formats.cvat import CVAT
from cspdarknet.data.formats.darknet import DARKNET
from cspdarknet.data.formats.keras_lists import KERAS_LISTS
from cspdarknet.data.formats.labelme import LABELME
from cspdarknet.data.formats.number_table import NUMBERS
from cspdarknet.data.formats.one_hot_table import ONE_HOT
from cspdarknet.data.formats.packed import PACKED_BOXES, PACKED_CLASSES, PACKED_NUMBERS
from cspdarknet.data.formats.via import VIA
from cspdarknet.data.formats.voc import VOC
from cspdarknet.data.formats.yolo import YOLO

FORMATS = (
    *(CLASS_FOLDERS, CSV, ONE_HOT, PACKED_CLASSES),
    *(COCO, VOC, YOLO, DARKNET, BOX_TABLE, CVAT, VIA, CREATEML, LABELME, KERAS_LISTS),
    *(PACKED_BOXES, PACKED_NUMBERS, NUMBERS),
)

__all__ = ["FORMATS"]
