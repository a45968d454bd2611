"""Where ``fuse`` ends a group, and where it does not: a graph for each reason."""

CHAIN = "".join(f"%{i + 1} = sin(%{i}) " for i in range(49)).replace("%0)", "%x)")

CODES = {
    "FUSED": """graph g(%x: f32[N, 4]) {
        %0 = exp(%x)
        %1 = add(%0, 1.0)
        return %1 }""",
    "MOVES_DATA": """graph g(%x: f32[N, 4, 6]) {
        %0 = exp(%x)
        %1 = transpose(%0, axes=(0, 2, 1))
        return %1 }""",
    "LARGE": f"graph g(%x: f32[N, 4]) {{ {CHAIN} return %49 }}",
    # The product is a result, so nothing joins it; the sum cannot join what it is a product of.
    "CYCLE": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = exp(%x)
        %1 = matmul(%0, $w)
        %2 = add(%0, %1)
        return %1, %2 }""",
    "ANCHOR": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = sin(%x)
        %1 = matmul(%0, $w)
        return %1 }""",
    "OTHER_DOMAIN": """graph g(%x: f32[N, 4], %y: f32[2, N, 4]) {
        %0 = exp(%x)
        %1 = add(%0, %y)
        return %1 }""",
    "OVERLAPPING_WINDOW": """graph g(%x: f32[N, 9, 9, 3]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k)
        %1 = max_pool2d(%0, window=(3, 3), strides=(2, 2))
        return %1 }""",
    "TILES": """graph g(%x: f32[N, 12, 12, 32]) {
        $k : f32[3, 3, 32, 32]
        %0 = conv2d(%x, $k, padding="same")
        %1 = max_pool2d(%0, window=(3, 3), strides=(3, 3))
        return %1 }""",
    "GRAPH_OUTPUT": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = relu(%0)
        return %0, %1 }""",
    "SECOND_USER": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = relu(%0)
        %2 = sin(%0)
        return %1, %2 }""",
    "DTYPE": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = greater(%0, 0.0)
        return %1 }""",
    "GAPS": """graph g(%h: f32[N, 8], %x: f32[N, 8, T]) {
        $u : f32[8, 8]
        %0 = scan(%h, %x, $u, carries=1, sequences=1, axis=2) {
          (%c0: f32[N, 8], %x0: f32[N, 8], %w0: f32[8, 8])
          %0.0 = matmul(%c0, %w0)
          %0.1 = add(%0.0, %x0)
          %0.2 = tanh(%0.1)
          return %0.2, %0.2
        }
        %1 = item(%0, index=1)
        return %1 }""",
    # One value a sample and channel, which a convolution's epilogue has no place for.
    "OPERAND_SHAPE": """graph g(%x: f32[N, 6, 6, 3], %y: f32[N, 1, 1, 8]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k)
        %1 = add(%0, %y)
        return %1 }""",
    # Two reductions along different axes are two kernels; both compute what they reduce.
    "CHEAP": """graph g(%x: f32[N, 4, 6]) {
        %0 = multiply(%x, 2.0)
        %1 = sum(%0, axes=(1,))
        %2 = max(%0, axes=(2,))
        return %1, %2 }""",
}

# Nothing is recorded here: a group that went on would compute something else, or not end.
SILENT = {
    "a softmax beside its operand's transpose": """graph g(%x: f32[N, 5, 5]) {
        %0 = softmax(%x, axis=-1)
        %1 = transpose(%0, axes=(0, 2, 1))
        %2 = subtract(%0, %1)
        return %2 }""",
    "two sums over different axes of one product": """graph g(%x: f32[N, 5, 7], %y: f32[N, 5, 7]) {
        %0 = multiply(%x, %y)
        %1 = sum(%0, axes=(1,))
        %2 = sum(%0, axes=(2,))
        return %1, %2 }""",
    "sums that a value of each other's group waits for": """graph g(%x: f32[N, 6]) {
        %0 = sum(%x, axes=(1,), keepdims=True)
        %1 = divide(%x, %0)
        %2 = sum(%1, axes=(0,), keepdims=True)
        %3 = divide(%1, %2)
        %4 = sum(%3, axes=(1,))
        return %4 }""",
    # Both sums go over %x, but the second one needs a product of the first.
    "channels weighed by their own sums": """graph g(%x: f32[N, 4, 4, 6]) {
        $w : f32[6, 6]
        %0 = sum(%x, axes=(1, 2))
        %1 = matmul(%0, $w)
        %2 = reshape(%1, shape=(N, 1, 1, 6))
        %3 = multiply(%x, %2)
        %4 = sin(%3)
        %5 = sum(%4, axes=(1, 2))
        return %5 }""",
    "a pooling of what has been activated and is read again": """graph g(%x: f32[N, 8, 8, 3]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k, padding="same")
        %1 = relu(%0)
        %2 = max_pool2d(%1, window=(2, 2), strides=(2, 2))
        %3 = sum(%1, axes=(1, 2))
        return %2, %3 }""",
    "a residual read in front of a pooling": """graph g(%x: f32[N, 8, 8, 3], %r: f32[N, 4, 4, 8]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k, padding="same")
        %1 = max_pool2d(%0, window=(2, 2), strides=(2, 2))
        %2 = add(%1, %r)
        return %2 }""",
    "a pooling with padding": """graph g(%x: f32[N, 7, 7, 3]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k, padding="same")
        %1 = max_pool2d(%0, window=(2, 2), strides=(2, 2), padding="same")
        return %1 }""",
    "a pooling that leaves a row and a column": """graph g(%x: f32[N, 7, 5, 3]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k, padding="same")
        %1 = avg_pool2d(%0, window=(2, 2), strides=(2, 2))
        return %1 }""",
    "a bias that is added behind an activation": """graph g(%x: f32[N, 6]) {
        $w : f32[6, 8]
        $b : f32[8]
        %0 = matmul(%x, $w)
        %1 = relu(%0)
        %2 = add(%1, $b)
        return %2 }""",
    "a bias that is added to a result": """graph g(%x: f32[N, 6]) {
        $w : f32[6, 8]
        $b : f32[8]
        %0 = matmul(%x, $w)
        %1 = add(%0, $b)
        %2 = multiply(%0, %1)
        return %2 }""",
    "the largest of windows plus a bias": """graph g(%x: f32[N, 6, 6, 8]) {
        $b : f32[8]
        %0 = max_pool2d(%x, window=(3, 3), strides=(1, 1))
        %1 = add(%0, $b)
        return %1 }""",
}
