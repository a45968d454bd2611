"""Where values lie: borders, views, results that are read again, parameters that are updated."""

SILENT = {
    "a result that is also read with padding": """graph g(%x: f32[N, 6, 6, 3]) {
        $k : f32[3, 3, 3, 8] $l : f32[3, 3, 8, 4]
        %0 = conv2d(%x, $k)
        %1 = relu(%0)
        %2 = conv2d(%1, $l, padding="same")
        return %1, %2 }""",
    "an input that is read with padding": """graph g(%x: f32[N, 6, 6, 3]) {
        $k : f32[3, 3, 3, 8]
        %0 = conv2d(%x, $k, padding="same")
        return %0 }""",
    "a view that is read with padding": """graph g(%x: f32[N, 108]) {
        $k : f32[3, 3, 3, 8]
        %0 = exp(%x)
        %1 = reshape(%0, shape=(N, 6, 6, 3))
        %2 = conv2d(%1, $k, padding="same")
        return %2 }""",
    "what is read with padding and as rows": """graph g(%x: f32[N, 6, 6, 3]) {
        $k : f32[3, 3, 3, 3]
        %0 = exp(%x)
        %1 = conv2d(%0, $k, padding="same")
        %2 = reshape(%0, shape=(N, 108))
        %3 = sum(%2, axes=(1,))
        return %1, %3 }""",
    "a product that is read with padding": """graph g(%x: f32[N, 5, 5, 4]) {
        $w : f32[4, 8] $k : f32[3, 3, 8, 8]
        %0 = matmul(%x, $w)
        %1 = conv2d(%0, $k, padding="same")
        return %1 }""",
    "parts that are read with padding": """graph g(%x: f32[N, 5, 5, 3], %y: f32[N, 5, 5, 3]) {
        $k : f32[3, 3, 6, 8]
        %0 = sin(%x)
        %1 = concatenate(%0, %y, axis=3)
        %2 = conv2d(%1, $k, padding="same")
        return %2 }""",
    "two windows that want different halos": """graph g(%x: f32[N, 8, 8, 3]) {
        $k : f32[5, 5, 3, 4] $l : f32[2, 3, 3, 4]
        %0 = exp(%x)
        %1 = conv2d(%0, $k, padding=((2, 2), (2, 2)))
        %2 = conv2d(%0, $l, padding=((3, 0), (0, 2)))
        return %1, %2 }""",
    "windows over images of any size": """graph g(%x: f32[N, H, W, 3]) {
        $k : f32[3, 3, 3, 4] $l : f32[5, 5, 3, 4]
        %0 = exp(%x)
        %1 = conv2d(%0, $k, strides=(2, 2), padding="same")
        %2 = conv2d(%0, $l, strides=(2, 2), padding="same")
        return %1, %2 }""",
    "wide images, whose pixels lie further apart": """graph g(%x: f32[N, 3, 3, 512]) {
        $k : f32[1, 1, 512, 8]
        %0 = exp(%x)
        %1 = conv2d(%0, $k)
        %2 = sum(%0, axes=(3,))
        return %1, %2 }""",
    "a product that has no rows where there is one sample": """graph g(%x: f32[N, 4]) {
        $w : f32[4, 9]
        %0 = slice(%x, start=(1, 0), stop=(N, 4), step=(1, 1))
        %1 = matmul(%0, $w)
        %2 = exp(%1)
        return %2 }""",
    "one result twice, an input and a view": """graph g(%x: f32[N, 4]) {
        $p : f32[3]
        %0 = exp(%x)
        %1 = reshape(%0, shape=(N, 2, 2))
        return %0, %0, %x, %1, $p }""",
}

UPDATES = {
    "the old value is read by a view, after the new one is made": """graph g(%x: f32[N, 6]) {
        $w : f32[6]
        %0 = sum(%x, axes=(0,))
        %1 = add($w, %0)
        %2 = reshape($w, shape=(2, 3))
        %3 = reshape(%1, shape=(2, 3))
        %4 = multiply(%2, %3)
        update $w = %1
        return %4 }""",
    "a view that reads other elements of the old value": """graph g(%x: f32[N, 4]) {
        $w : f32[4, 4]
        %0 = transpose($w, axes=(1, 0))
        %1 = sum(%x, axes=(0,))
        %2 = add(%0, %1)
        update $w = %2
        return %1 }""",
    "the value itself and a view of it": """graph g(%x: f32[N, 4]) {
        $w : f32[2, 2]
        %0 = reshape($w, shape=(4,))
        %1 = flip(%0, axes=(0,))
        %2 = reshape(%1, shape=(2, 2))
        %3 = add($w, %2)
        update $w = %3
        return %x }""",
    "the sum of the old value": """graph g(%x: f32[N, 4]) {
        $w : f32[4]
        %0 = sum($w, axes=(0,), keepdims=True)
        %1 = divide($w, %0)
        update $w = %1
        return %x }""",
    "an old value read after the sum of what is kept": """graph g(%x: f32[N, 4], %y: f32[5, 4]) {
        $w : f32[5, 4]
        %0 = exp(%y)
        %1 = sum(%0, axes=(1,), keepdims=True)
        %2 = divide(%0, %1)
        %3 = subtract($w, %2)
        update $w = %3
        return %x }""",
    "a product of the old value": """graph g(%x: f32[N, 4]) {
        $w : f32[4, 4]
        %0 = matmul($w, $w)
        %1 = multiply(%0, 0.5)
        update $w = %1
        return %x }""",
    "the old value broadcast": """graph g(%x: f32[N, 4]) {
        $w : f32[1, 4]
        %0 = sum(%x, axes=(0,))
        %1 = add($w, %0)
        update $w = %1
        return %x }""",
    "two that take each other's place": """graph g(%x: f32[N, 4]) {
        $a : f32[4] $b : f32[4]
        %0 = add($b, 1.0)
        %1 = multiply($a, 2.0)
        update $a = %0
        update $b = %1
        return %x }""",
    "elements of the old value, picked from a view": """graph g(%x: f32[4, 4], %i: i32[4, 4]) {
        $w : f32[4, 4]
        %0 = reshape($w, shape=(16,))
        %1 = gather(%0, %i, axis=0)
        %2 = add(%x, %1)
        update $w = %2
        return %x }""",
    # Blocks of rows overlap where these do not divide: their elements are computed twice.
    "a product added to the old value": """graph g(%x: f32[19, 5], %y: f32[5, 8]) {
        $w : f32[19, 8]
        %0 = matmul(%x, %y)
        %1 = add(%0, $w)
        update $w = %1
        return %x }""",
}
