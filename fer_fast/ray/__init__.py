"""Items are classified by Ray's actors, on one machine or on many; a table or a Ray Dataset goes out."""

from fer_fast.ray.cluster import Cluster
from fer_fast.ray.dataset import classify

__all__ = ["Cluster", "classify"]
