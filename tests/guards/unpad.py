"""Padding that ``unpad`` gives to a convolution, and padding that it must leave alone."""


def padded(pad: str, convolution: str = "", image: str = "N, 6, 5, 3") -> str:
    return f"""graph g(%x: f32[{image}]) {{ $k : f32[3, 3, 3, 4]
        %0 = pad(%x, {pad})
        %1 = conv2d(%0, $k{convolution})
        return %1 }}"""


ZEROS_BETWEEN = "low=(0, 2, 2, 0), high=(0, 2, 2, 0), interior=(0, 1, 1, 0)"

CODES = {
    "PADDING": padded("low=(0, 1, 2, 0), high=(0, 0, 3, 0)", ", strides=(2, 1)"),
    "DENSE": padded(ZEROS_BETWEEN),
}

SILENT = {
    "ones": padded("low=(0, 1, 1, 0), high=(0, 1, 1, 0), value=1.0"),
    "less than nothing": padded("low=(0, 1, 1, 0), high=(0, -1, 1, 0)"),
    "more samples": padded("low=(1, 1, 1, 0), high=(0, 1, 1, 0)"),
    "more channels": padded("low=(0, 1, 1, 1), high=(0, 1, 1, 0)", image="N, 6, 5, 2"),
    "zeros between, strides of its own": padded(ZEROS_BETWEEN, ", strides=(2, 2)"),
    "zeros between, padding of its own": padded(ZEROS_BETWEEN, ', padding="same"'),
    "zeros between, dilation": padded(ZEROS_BETWEEN, ", dilation=(2, 2)"),
    "zeros between, more than the window": padded(
        "low=(0, 2, 2, 0), high=(0, 2, 2, 0), interior=(0, 3, 3, 0)"
    ),
    "zeros between one another's rows alone": padded(
        "low=(0, 2, 1, 0), high=(0, 2, 1, 0), interior=(0, 1, 0, 0)"
    ),
    "images of any size": padded(ZEROS_BETWEEN, image="N, H, W, 3"),
    "cut at the edges": padded("low=(0, -1, -1, 0), high=(0, 0, 0, 0), interior=(0, 1, 1, 0)"),
}
