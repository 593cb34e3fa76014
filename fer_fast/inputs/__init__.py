"""What people name comes in, the files that it means go out."""

from fer_fast.inputs.entries import absolute
from fer_fast.inputs.files import HIDDEN, IMAGE_SUFFIXES, LINKED, ImageFiles, is_hidden
from fer_fast.inputs.keys import key_of
from fer_fast.inputs.shards import Shard

__all__ = ["HIDDEN", "IMAGE_SUFFIXES", "LINKED", "ImageFiles", "Shard", "absolute", "is_hidden", "key_of"]
