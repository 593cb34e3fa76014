"""The formats of image files: a file that begins like one of them comes in, a picture that can be decoded goes out.

`kinds` tells them apart, `picture` is what each of them gives, `opening` has a maker for each.
"""
