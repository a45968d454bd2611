"""Sizes that types cannot tell: a graph, those that make no sense, and those next to them that do.

For the first, a call is refused with the words that follow.
"""

REFUSED = {
    "a slice that starts behind the end": (
        """graph g(%x: f32[N, 4]) {
        %0 = slice(%x, start=(5, 0), stop=(N, 4), step=(1, 1))
        return %0 }""",
        {"N": 4},
        {"N": 6},
        "slice",
    ),
    "a slice that ends behind the end": (
        """graph g(%x: f32[N, 4]) {
        %0 = slice(%x, start=(0, 0), stop=(5, 4), step=(1, 1))
        return %0 }""",
        {"N": 4},
        {"N": 5},
        "slice: expected 5 <= N; got 5 > 4, with N = 4",
    ),
    "a window larger than the image": (
        """graph g(%x: f32[N, H, W, 3]) {
        $k : f32[3, 2, 3, 4]
        %0 = conv2d(%x, $k)
        return %0 }""",
        {"N": 2, "H": 2, "W": 4},
        {"N": 2, "H": 3, "W": 2},
        "conv2d",
    ),
    "a dilated window larger than the image": (
        """graph g(%x: f32[N, H, W, 3]) {
        $k : f32[3, 3, 3, 4]
        %0 = conv2d(%x, $k, dilation=(2, 2), padding=((1, 0), (0, 1)))
        return %0 }""",
        {"N": 2, "H": 3, "W": 6},
        {"N": 2, "H": 4, "W": 4},
        "conv2d",
    ),
    "a pooling window larger than the image": (
        """graph g(%x: f32[N, H, W, 3]) {
        %0 = max_pool2d(%x, window=(3, 3), strides=(1, 1))
        return %0 }""",
        {"N": 2, "H": 3, "W": 2},
        {"N": 2, "H": 3, "W": 3},
        "max_pool2d",
    ),
    "rows of another length than columns": (
        """graph g(%x: f32[N, H], %y: f32[W, 3]) {
        %0 = matmul(%x, %y)
        return %0 }""",
        {"N": 2, "H": 4, "W": 5},
        {"N": 2, "H": 4, "W": 4},
        "matmul",
    ),
    "fewer gradients than places": (
        """graph g(%x: f32[N, H, W, 3], %g: f32[N, P, W - 2, 4]) {
        %0 = conv2d_kernel_gradient(%x, %g, window=(3, 3))
        return %0 }""",
        {"N": 2, "H": 6, "W": 5, "P": 3},
        {"N": 2, "H": 6, "W": 5, "P": 4},
        "conv2d_kernel_gradient",
    ),
}
