"""A video through a graph: decode, resize, sharpen with OpenCV, encode. ``python video.py in.mp4 out.mp4``"""

import sys

import cv2

import penstock as ps


@ps.operator
def sharpen(image):
    pixels = image.numpy()
    return cv2.addWeighted(pixels, 1.6, cv2.GaussianBlur(pixels, (0, 0), 2), -0.6, 0)


def pipeline(source, target):
    return ps.sink(ps.source(source) >> ps.resize(size=(360, 640)) >> sharpen, target)


if __name__ == "__main__":
    ps.run(pipeline(*sys.argv[1:]))
