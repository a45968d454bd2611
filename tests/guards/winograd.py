"""Where ``winograd`` leaves a convolution as it is, with the reason of each."""


def convolution(image: str, kernel: str, attributes: str = 'padding="same"') -> str:
    return f"""graph g(%x: f32[{image}]) {{ $k : f32[{kernel}]
        %0 = conv2d(%x, $k, {attributes})
        return %0 }}"""


CODES = {
    "FEWER_PRODUCTS": convolution("N, 8, 8, 32", "3, 3, 32, 32"),
    "UNKNOWN_SIZE": convolution("N, H, W, 32", "3, 3, 32, 32"),
    "SMALL": convolution("N, 3, 8, 32", "3, 3, 32, 32", "padding=((0, 0), (1, 1))"),
    "CHANNELS": convolution("N, 8, 8, 17", "3, 3, 17, 32"),
    "LITTLE_GAIN": convolution("N, 3, 3, 16", "3, 3, 16, 5"),
}

SILENT = {
    "strides": convolution("N, 8, 8, 32", "3, 3, 32, 32", 'strides=(2, 2), padding="same"'),
    "dilation": convolution("N, 9, 9, 32", "3, 3, 32, 32", 'dilation=(2, 2), padding="same"'),
    "groups": convolution("N, 8, 8, 32", "3, 3, 16, 32", 'groups=2, padding="same"'),
    "another window": convolution("N, 8, 8, 32", "3, 1, 32, 32"),
    "odd images and uneven padding": convolution(
        "N, 9, 7, 32", "3, 3, 32, 40", "padding=((2, 0), (0, 1))"
    ),
}
