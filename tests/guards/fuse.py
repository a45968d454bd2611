"""Where ``fuse`` ends a group, and where it does not: a graph for each reason."""

CHAIN = "".join(f"%{i + 1} = sin(%{i}) " for i in range(49)).replace("%0)", "%x)")
# Sixteen gates of sixteen units, added up.
GATES = " ".join(
    [
        *(
            f"%{i + 1} = slice(%0, start=(0, {16 * i}), stop=(N, {16 * i + 16}), step=(1, 1))"
            for i in range(16)
        ),
        "%17 = add(%1, %2)",
        *(f"%{i + 15} = add(%{i + 14}, %{i})" for i in range(3, 17)),
    ]
)

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
    "GRAPH_OUTPUT": """graph g(%x: f32[N, 6, 6, 8]) {
        $k : f32[3, 3, 8, 1]
        %0 = depthwise_conv2d(%x, $k)
        %1 = relu(%0)
        return %0, %1 }""",
    "SECOND_USER": """graph g(%x: f32[N, 6, 6, 8]) {
        $k : f32[3, 3, 8, 1]
        %0 = depthwise_conv2d(%x, $k)
        %1 = relu(%0)
        %2 = sin(%0)
        return %1, %2 }""",
    "ONE_RESULT": """graph g(%x: f32[N, 6, 6, 8]) {
        $k : f32[3, 3, 8, 1]
        %0 = depthwise_conv2d(%x, $k)
        %1 = sigmoid(%0)
        %2 = multiply(%0, %1)
        return %0, %2 }""",
    "TWO_ANCHORS": """graph g(%q: f32[N, 5, 8], %k: f32[N, 8, 5], %v: f32[N, 5, 8]) {
        %0 = matmul(%q, %k)
        %1 = relu(%0)
        %2 = matmul(%1, %v)
        return %2 }""",
    "UNEQUAL_GATES": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = matmul(%x, $w)
        %1 = slice(%0, start=(0, 0), stop=(N, 2), step=(1, 1))
        %2 = slice(%0, start=(0, 2), stop=(N, 8), step=(1, 1))
        %3 = tanh(%1)
        %4 = sigmoid(%2)
        return %3, %4 }""",
    "GROUPS": """graph g(%x: f32[N, 6, 6, 8]) {
        $k : f32[3, 3, 4, 16]
        %0 = conv2d(%x, $k, groups=2)
        %1 = slice(%0, start=(0, 0, 0, 0), stop=(N, 4, 4, 8), step=(1, 1, 1, 1))
        %2 = slice(%0, start=(0, 0, 0, 8), stop=(N, 4, 4, 16), step=(1, 1, 1, 1))
        %3 = multiply(%1, %2)
        return %3 }""",
    "REGISTERS": f"""graph g(%x: f32[N, 8]) {{
        $w : f32[8, 256]
        %0 = matmul(%x, $w)
        {GATES}
        return %{2 * 16 - 1} }}""",
    # Four sums of 512 products for one unit: a vector of each would hold a single one.
    "NARROW": """graph g(%x: f32[N, 512]) {
        $w : f32[512, 4]
        %0 = matmul(%x, $w)
        %1 = slice(%0, start=(0, 0), stop=(N, 1), step=(1, 1))
        %2 = slice(%0, start=(0, 3), stop=(N, 4), step=(1, 1))
        %3 = multiply(%1, %2)
        return %3 }""",
    # Alone it writes over the old values; a product computes some twice, from the new ones then.
    "UPDATES": """graph g(%x: f32[N, 6]) {
        $w : f32[6, 8]
        $v : f32[6, 8]
        %0 = transposed_matmul(%x, %x)
        %1 = matmul(%0, $w)
        %2 = square(%1)
        %3 = add($v, %2)
        %4 = add(%1, %3)
        update $v = %3
        return %4 }""",
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
    "an activation of two values of a product": """graph g(%x: f32[N, 6], %y: f32[N, 9]) {
        $w : f32[6, 9]
        %0 = matmul(%x, $w)
        %1 = sigmoid(%0)
        %2 = multiply(%0, %1)
        %3 = add(%2, %y)
        return %1, %3 }""",
    "what a product is made of, and added to": """graph g(%x: f32[N, 8]) {
        $w : f32[8, 8]
        %0 = tanh(%x)
        %1 = matmul(%0, $w)
        %2 = sigmoid(%1)
        %3 = multiply(%1, %2)
        %4 = add(%3, %0)
        return %4 }""",
    "a gate that is also read whole": """graph g(%x: f32[N, 6]) {
        $w : f32[6, 20]
        $b : f32[20]
        %0 = matmul(%x, $w)
        %1 = add(%0, $b)
        %2 = slice(%1, start=(0, 10), stop=(N, 20), step=(1, 1))
        %3 = slice(%1, start=(0, 0), stop=(N, 10), step=(1, 1))
        %4 = sigmoid(%2)
        %5 = multiply(%3, %4)
        %6 = sum(%1, axes=(0,))
        return %5, %6 }""",
    "a slice of pixels, which is no gate": """graph g(%x: f32[N, 6, 6, 3]) {
        $k : f32[1, 1, 3, 8]
        %0 = conv2d(%x, $k)
        %1 = slice(%0, start=(0, 0, 0, 0), stop=(N, 3, 6, 8), step=(1, 1, 1, 1))
        %2 = slice(%0, start=(0, 3, 0, 0), stop=(N, 6, 6, 8), step=(1, 1, 1, 1))
        %3 = multiply(%1, %2)
        return %3 }""",
    "a slice that a sum reads": """graph g(%x: f32[N, 6]) {
        $w : f32[6, 16]
        %0 = matmul(%x, $w)
        %1 = slice(%0, start=(0, 0), stop=(N, 8), step=(1, 1))
        %2 = slice(%0, start=(0, 8), stop=(N, 16), step=(1, 1))
        %3 = tanh(%1)
        %4 = sum(%2, axes=(1,))
        return %3, %4 }""",
    "gates of one unit": """graph g(%x: f32[N, 3], %c: f32[N, 1]) {
        $w : f32[3, 2]
        $b : f32[4]
        %0 = matmul(%x, $w)
        %1 = slice(%0, start=(0, 0), stop=(N, 1), step=(1, 1))
        %2 = slice(%0, start=(0, 1), stop=(N, 2), step=(1, 1))
        %3 = slice($b, start=(2,), stop=(3,), step=(1,))
        %4 = add(%1, %3)
        %5 = multiply(%4, %2)
        %6 = add(%5, %c)
        return %6 }""",
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
