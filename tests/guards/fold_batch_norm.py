"""Where ``fold_batch_norm`` leaves a batch norm out of the weights, with the reason of each."""

STATISTICS = "$g : f32[6] $b : f32[6] $m : f32[6] $variance : f32[6]"
NORM = "batch_norm({}, $g, $b, $m, $variance, epsilon=0.001)"


def network(signature: str, body: str) -> str:
    return f"graph g({signature}) {{ {STATISTICS} {body} }}"


CODES = {
    "STATISTICS_VARY": """graph g(%x: f32[N, 6], %m: f32[6], %variance: f32[6]) {
        $g : f32[6] $b : f32[6] $w : f32[6, 6]
        %0 = matmul(%x, $w)
        %1 = batch_norm(%0, $g, $b, %m, %variance, epsilon=0.001)
        return %1 }""",
    "NO_WEIGHTS_BEFORE": network("%x: f32[N, 6]", f"%1 = {NORM.format('%x')} return %1"),
    "KERNEL_VARIES": network(
        "%x: f32[N, 5], %k: f32[5, 6]", f"%0 = matmul(%x, %k) %1 = {NORM.format('%0')} return %1"
    ),
    "AXIS_NOT_LAST": """graph g(%x: f32[N, 4, 6, 3]) {
        $g : f32[4] $b : f32[4] $m : f32[4] $variance : f32[4] $k : f32[3, 3, 3, 5]
        %0 = conv2d(%x, $k, padding="same")
        %1 = batch_norm(%0, $g, $b, $m, $variance, epsilon=0.001, axis=1)
        return %1 }""",
    "OUTPUT": network(
        "%x: f32[N, 5]",
        f"$k : f32[5, 6] %0 = matmul(%x, $k) %1 = {NORM.format('%0')} return %0, %1",
    ),
    "SECOND_USER": network(
        "%x: f32[N, 5]",
        "$k : f32[5, 6] %0 = matmul(%x, $k) %2 = sin(%0) "
        f"%1 = {NORM.format('%0')} %3 = add(%1, %2) return %3",
    ),
}

# Folded, with a reason to be careful.
SILENT = {
    "a bias that the batch norm's scale multiplies too": network(
        "%x: f32[N, 5]",
        "$k : f32[5, 6] $c : f32[6] %0 = matmul(%x, $k) %1 = add($c, %0) "
        f"%2 = {NORM.format('%1')} return %2",
    ),
    "something added that is no parameter": network(
        "%x: f32[N, 5], %y: f32[N, 6]",
        f"$k : f32[5, 6] %0 = matmul(%x, $k) %1 = add(%0, %y) %2 = {NORM.format('%1')} return %2",
    ),
    "a bias that is wider than the product": network(
        "%x: f32[1, 5]",
        "$k : f32[5, 6] $c : f32[3, 6] %0 = matmul(%x, $k) %1 = add(%0, $c) "
        f"%2 = {NORM.format('%1')} return %2",
    ),
    "a depthwise convolution of two filters a channel": network(
        "%x: f32[N, 6, 6, 3]",
        '$k : f32[3, 3, 3, 2] %0 = depthwise_conv2d(%x, $k, padding="same") '
        f"%2 = {NORM.format('%0')} return %2",
    ),
}
