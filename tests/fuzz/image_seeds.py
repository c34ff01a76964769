"""Image files of every format that Pillow writes, and the beginnings of those that it reads."""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image, features

# Formats whose decoders would run another program, or that Pillow cannot decode.
STUBS = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n9 9 lineto\n%%EOF\n",
    "eps_binary": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, 90) + bytes(20) + b"%!PS-Adobe-3.0\n"
    b"%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(88),
    "grib": b"GRIB\x00\x00\x40\x01" + bytes(60),
    "bufr": b"BUFR\x00\x00\x40\x04" + bytes(60),
    "mpeg": b"\x00\x00\x01\xb3\x01\x00\x10\x13" + bytes(60),
    "wmf": b"\xd7\xcd\xc6\x9a\x00\x00" + struct.pack("<hhhhH", 0, 0, 90, 90, 96) + bytes(40),
    "emf": b"\x01\x00\x00\x00" + struct.pack("<I", 108) + bytes(32) + b" EMF" + bytes(64),
    "fits": b"".join(
        card.ljust(80).encode()
        for card in ("SIMPLE  =  T", "BITPIX  =  8", "NAXIS   =  2", "NAXIS1  =  8", "NAXIS2  =  8")
    )
    + b"END".ljust(80)
    + bytes(2880),
    "dcx": struct.pack("<III", 987654321, 12, 0) + bytes(200),
    "fli": struct.pack("<IHHHHHHI", 200, 0xAF11, 1, 8, 8, 8, 3, 70) + bytes(180),
    "pcd": bytes(2048) + b"PCD_" + bytes(2000),
    "fpx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "blp": b"BLP2" + struct.pack("<IBBBBII", 1, 1, 0, 0, 0, 8, 8) + bytes(1200),
    "ftex": b"FTEX" + struct.pack("<i2i4i", 0, 8, 8, 1, 1, 0, 44) + bytes(300),
    "gbr": struct.pack(">7I", 32, 2, 8, 8, 1, 0x47494D50, 10) + b"abc\x00" + bytes(64),
    "mcidas": bytes(4) + struct.pack(">I", 4) + bytes(300),
    "pixar": b"\x80\xe8\x00\x00" + bytes(2000),
    "psd": b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + bytes(12 + 2 + 192),
    "sun": struct.pack(">8I", 0x59A66A95, 8, 8, 24, 192, 1, 0, 0) + bytes(192),
    "xpm": b'/* XPM */\nstatic char *a[] = {\n"2 2 1 1",\n"a c #ff0000",\n"aa",\n"aa"};\n',
    "xvthumb": b"P7 332\n#END_OF_COMMENTS\n8 8 255\n" + bytes(64),
    "imt": b"width 8\nheight 8\n\x0c" + bytes(64),
    "iptc": b"\x1c\x03\x3c\x00\x02\x01\x01" + b"\x1c\x03\x14\x00\x01\x08" + bytes(64),
}
# Formats of Pillow, their modes, and options of saving.
SAVED = (
    *[("PNG", mode, {}) for mode in ("RGB", "RGBA", "P", "L", "1", "I;16", "LA")],
    ("PNG", "RGB", {"save_all": True, "append_images": True}),
    *[("JPEG", mode, {}) for mode in ("RGB", "L", "CMYK")],
    ("JPEG", "RGB", {"progressive": True, "exif": True}),
    ("MPO", "RGB", {"save_all": True, "append_images": True}),
    *[("TIFF", mode, {"exif": True}) for mode in ("RGB", "F", "I;16", "CMYK", "1")],
    *[
        ("TIFF", "RGB", {"compression": name})
        for name in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")
    ],
    ("TIFF", "1", {"compression": "group4"}),
    ("GIF", "P", {}),
    ("GIF", "P", {"save_all": True, "append_images": True}),
    ("WEBP", "RGB", {"exif": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True, "append_images": True}),
    ("AVIF", "RGB", {"exif": True, "speed": 10}),
    ("AVIF", "RGBA", {"speed": 10}),
    ("JPEG2000", "RGB", {}),
    ("JPEG2000", "L", {"tile_size": (16, 16)}),
    *[("BMP", mode, {}) for mode in ("RGB", "P", "1")],
    ("DIB", "RGB", {}),
    *[("PPM", mode, {}) for mode in ("RGB", "L", "1", "F")],
    *[("TGA", "RGBA", {"compression": name}) for name in (None, "tga_rle")],
    ("PCX", "RGB", {}),
    ("PCX", "P", {}),
    ("SGI", "RGB", {}),
    ("QOI", "RGBA", {}),
    ("ICO", "RGBA", {}),
    ("ICO", "RGBA", {"bitmap_format": "bmp"}),
    ("ICNS", "RGBA", {}),
    ("DDS", "RGBA", {}),
    ("DDS", "RGBA", {"pixel_format": "DXT5"}),
    ("IM", "P", {}),
    ("MSP", "1", {}),
    ("SPIDER", "F", {}),
    ("XBM", "1", {}),
)


def seeds():
    """Return the files by name."""
    files = dict(STUBS)
    for i, (format, mode, options) in enumerate(SAVED):
        if format in ("AVIF", "WEBP") and not features.check(format.lower()):
            continue
        content = _saved(format, mode, dict(options))
        if content is not None:
            files[f"{format.lower()}_{mode.replace(';', '_')}_{i}"] = content
    compressed = b"a\0\0" + zlib.compress(bytes(900))
    for name, kind in (("png_text", b"zTXt"), ("png_profile", b"iCCP")):
        files[name] = with_chunk(files["png_RGB_0"], kind, compressed)
    return files


def _picture(mode, seed=0, size=(24, 20)):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (size[1], size[0], 4), "uint8")
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype("uint16") * 257)
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype("float32"))
    picture = Image.fromarray(pixels, "RGBA")
    return picture if mode == "RGBA" else picture.convert("RGB").convert(mode)


def _saved(format, mode, options):
    if options.pop("exif", False):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "a camera"
        options["exif"] = exif
    if options.pop("append_images", False):
        options["append_images"] = [_picture(mode, seed) for seed in (1, 2)]
    picture = _picture(mode, size=(32, 32) if format == "ICNS" else (24, 20))
    content = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):  # some formats are deprecated
            picture.save(content, format, **options)
    except (OSError, KeyError, ValueError):  # a version of Pillow without this
        return None
    return content.getvalue()


def chunk(kind, data):
    """Return a chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png, kind, data):
    """Return a PNG with a chunk behind its first one."""
    return png[:33] + chunk(kind, data) + png[33:]
