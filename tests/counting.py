"""A file in memory that counts the bytes that are read of it."""

import io


class Counting(io.BytesIO):
    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data
