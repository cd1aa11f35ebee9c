// What stands before and after the network on an NVIDIA GPU: the histogram of a frame, the network's input, and
// keypoints from its maps. kernels.py launches each kernel, compile.py makes kernels.ptx of this file.
//
// The arithmetic is that of rtface.track.gray_levels, PadResize and FacemapDecode (rtface.networks.graph) and SmallDecode
// (rtface.networks.small), in float32 and in the same order. It is compiled with -fmad=false, so that no product and sum
// become one rounding and the prepared image is theirs to the last bit.
//
// Plain CUDA C++: no warp shuffles, no textures, blocks of THREADS threads in one dimension. The tests compile this
// very file as C++ and run it on the CPU.

#include <cuda_fp16.h>
#include <math.h>

constexpr int THREADS = 256;
constexpr int GROUPS = 16;  // The block's values are combined in two steps of 16: two barriers instead of eight.
constexpr int BINS = 256;   // One for each thread.

// ------------------------------------------------------------------------------------------------- histogram

constexpr int COPIES = 8;  // Of each bin: in a dark frame, which is all one bin, only 4 lanes of 32 meet.
constexpr int PIECE = 16;  // Bytes that a thread reads at once.

__device__ void count(unsigned int* bins, unsigned int value) {
    atomicAdd(&bins[value * COPIES + threadIdx.x % COPIES], 1u);
}

__device__ void count_four(unsigned int* bins, unsigned int word) {
    for (int shift = 0; shift < 32; shift += 8) count(bins, (word >> shift) & 255u);
}

// Adds to `counts`, uint32 [256], the gray levels of `rows` rows of `width` bytes, `pitch` bytes apart.
extern "C" __global__ void __launch_bounds__(THREADS)
histogram(const unsigned char* __restrict__ frame, unsigned int* __restrict__ counts, int rows, int width, int pitch) {
    __shared__ unsigned int bins[BINS * COPIES];
    const int lane = threadIdx.x;
    for (int copy = 0; copy < COPIES; ++copy) bins[copy * THREADS + lane] = 0;
    __syncthreads();

    // Aligned pieces that a row can touch: those that lie wholly in it are read at once, the others byte by byte.
    const int pieces = (width + 2 * (PIECE - 1)) / PIECE;
    for (int item = blockIdx.x * THREADS + lane; item < rows * pieces; item += gridDim.x * THREADS) {
        const long long start = static_cast<long long>(item / pieces) * pitch, end = start + width;
        const int beyond = static_cast<int>((reinterpret_cast<size_t>(frame) + start) % PIECE);
        const long long piece = start - beyond + item % pieces * PIECE;
        if (piece >= start && piece + PIECE <= end) {
            const uint4 words = *reinterpret_cast<const uint4*>(frame + piece);
            count_four(bins, words.x);
            count_four(bins, words.y);
            count_four(bins, words.z);
            count_four(bins, words.w);
        } else {
            for (long long byte = piece; byte < piece + PIECE; ++byte)
                if (byte >= start && byte < end) count(bins, frame[byte]);
        }
    }
    __syncthreads();

    unsigned int sum = 0;  // Each lane begins at another copy, so that 32 lanes read 32 banks.
    for (int copy = 0; copy < COPIES; ++copy) sum += bins[lane * COPIES + (copy + lane / 4) % COPIES];
    if (sum > 0) atomicAdd(&counts[lane], sum);
}

// --------------------------------------------------------------------------------------------------- prepare

// A percentile's place among the sorted pixels: two ranks, and how far it lies from the first to the second, in 2^-56.
struct Rank {
    int below, above;
    unsigned long long fraction;
};

struct Levels {
    float low, gain;
};

// Exact: the sum is a whole number of 2^-56 below 2^64, and only its conversion to float rounds.
__device__ float interpolated(int below, int above, unsigned long long fraction) {
    const unsigned long long sum = (static_cast<unsigned long long>(below) << 56) + fraction * (above - below);
    return static_cast<float>(sum) * 0x1p-56f;
}

// Returns to all threads of the block the level that becomes 0, and 1 over the distance to the one that becomes 1.
__device__ Levels levels_of(const unsigned int* counts, Rank low, Rank high) {
    __shared__ unsigned int bins[BINS];
    __shared__ unsigned int of_groups[GROUPS];
    __shared__ int found[4];
    const int lane = threadIdx.x, group = lane / GROUPS, place = lane % GROUPS;
    const unsigned int own = counts[lane];
    bins[lane] = own;
    if (lane < 4) found[lane] = 0;
    __syncthreads();

    unsigned int before = 0;
    for (int other = 0; other < GROUPS; ++other) {
        const unsigned int value = bins[group * GROUPS + other];
        if (other < place) before += value;
    }
    if (place == GROUPS - 1) of_groups[group] = before + own;
    __syncthreads();

    for (int other = 0; other < GROUPS; ++other) {
        const unsigned int value = of_groups[other];
        if (other < group) before += value;
    }
    const unsigned int ranks[4] = {
        static_cast<unsigned int>(low.below), static_cast<unsigned int>(low.above),
        static_cast<unsigned int>(high.below), static_cast<unsigned int>(high.above)};
    for (int which = 0; which < 4; ++which)
        if (before <= ranks[which] && ranks[which] - before < own) found[which] = lane;
    __syncthreads();

    const float bottom = interpolated(found[0], found[1], low.fraction);
    const float spread = interpolated(found[2], found[3], high.fraction) - bottom;
    return {bottom, spread > 0.0f ? 1.0f / spread : 0.0f};
}

// Two neighbouring pixels of one axis and their weights, zero in the padding.
struct Taps {
    int first, second;
    float first_weight, second_weight;
};

__device__ int within(int index, int length) {
    return index < 0 ? 0 : index < length ? index : length - 1;
}

__device__ Taps taps_of(int index, int length, float scale, float lowest, float highest, float shift) {
    float position = (static_cast<float>(index) + 0.5f) * scale - 0.5f;
    position = fminf(fmaxf(position, lowest), highest) - shift;
    const float lower = floorf(position);
    const float fraction = position - lower;
    const int first = static_cast<int>(lower), second = first + 1;
    const int first_within = within(first, length), second_within = within(second, length);
    return {
        first_within, second_within,
        first_within == first ? 1.0f - fraction : 0.0f, second_within == second ? fraction : 0.0f};
}

__device__ void store(float* out, int cell, float value) { out[cell] = value; }
__device__ void store(__half* out, int cell, float value) { out[cell] = __float2half_rn(value); }

template <typename Element>
__device__ void prepare(
    const unsigned char* image, const unsigned int* counts, Element* out, int pitch, int height, int width, int rows,
    int cols, float scale, float lowest, float highest, float row_shift, float col_shift, Rank low, Rank high) {
    const int cell = blockIdx.x * THREADS + threadIdx.x;
    const bool wanted = cell < rows * cols;
    float resized = 0.0f, covered = 0.0f;
    if (wanted) {  // Before the levels, so that the pixels are on their way meanwhile.
        const Taps down = taps_of(cell / cols, height, scale, lowest, highest, row_shift);
        const Taps across = taps_of(cell % cols, width, scale, lowest, highest, col_shift);
        const unsigned char* top = image + static_cast<size_t>(down.first) * pitch;
        const unsigned char* bottom = image + static_cast<size_t>(down.second) * pitch;
        const float left = static_cast<float>(top[across.first]) * down.first_weight +
                           static_cast<float>(bottom[across.first]) * down.second_weight;
        const float right = static_cast<float>(top[across.second]) * down.first_weight +
                            static_cast<float>(bottom[across.second]) * down.second_weight;
        resized = left * across.first_weight + right * across.second_weight;
        covered = (down.first_weight + down.second_weight) * (across.first_weight + across.second_weight);
    }
    const Levels levels = levels_of(counts, low, high);
    if (wanted) store(out, cell, (resized - levels.low * covered) * levels.gain);
}

// Writes the network's input, [rows, cols]. `image` is the crop's first pixel, `pitch` the frame's width, `counts` what
// `histogram` left; the numbers between are PadResize's, worked out for the crop's shape by kernels.py.
#define PREPARE(name, Element)                                                                                       \
    extern "C" __global__ void __launch_bounds__(THREADS) name(                                                      \
        const unsigned char* __restrict__ image, const unsigned int* __restrict__ counts, Element* __restrict__ out, \
        int pitch, int height, int width, int rows, int cols, float scale, float lowest, float highest,              \
        float row_shift, float col_shift, int low_below, int low_above, unsigned long long low_fraction,             \
        int high_below, int high_above, unsigned long long high_fraction) {                                          \
        prepare(                                                                                                     \
            image, counts, out, pitch, height, width, rows, cols, scale, lowest, highest, row_shift, col_shift,      \
            Rank{low_below, low_above, low_fraction}, Rank{high_below, high_above, high_fraction});                  \
    }

PREPARE(prepare_f32, float)
PREPARE(prepare_f16, __half)

// ---------------------------------------------------------------------------------------------------- decode

constexpr float STRIDE = 4.0f;  // Pixels of the network's input between neighbouring cells of a map.
constexpr int WINDOW = 3;       // Cells on each side of the peak that are looked at.
constexpr int SIDE = 2 * WINDOW + 1;
constexpr float ELSEWHERE = 16.0f;
constexpr float SMALLEST_SPREAD = 0.02f;
constexpr float FACEMAP_OFFSET = 6.0f;

struct Peak {
    float value;
    int cell;
};

// Larger, or as large and earlier in row order; NaN is the largest, as torch has it.
__device__ bool precedes(Peak one, Peak other) {
    const bool one_nan = one.value != one.value, other_nan = other.value != other.value;
    if (one_nan != other_nan) return one_nan;
    if (one_nan || one.value == other.value) return one.cell < other.cell;
    return one.value > other.value;
}

__device__ Peak peak_of(const float* map, int cells) {
    __shared__ Peak of_threads[THREADS];
    __shared__ Peak of_groups[GROUPS];
    Peak best = {-INFINITY, cells};
    for (int cell = threadIdx.x; cell < cells; cell += THREADS) {
        const Peak here = {map[cell], cell};
        if (precedes(here, best)) best = here;
    }
    of_threads[threadIdx.x] = best;
    __syncthreads();
    if (threadIdx.x < GROUPS) {
        for (int lane = threadIdx.x; lane < THREADS; lane += GROUPS)
            if (precedes(of_threads[lane], best)) best = of_threads[lane];
        of_groups[threadIdx.x] = best;
    }
    __syncthreads();
    best = of_groups[0];
    for (int group = 1; group < GROUPS; ++group)
        if (precedes(of_groups[group], best)) best = of_groups[group];
    return best;
}

__device__ float sum_of(float value) {
    __shared__ float of_threads[THREADS];
    __shared__ float of_groups[GROUPS];
    of_threads[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < GROUPS) {
        float sum = 0.0f;
        for (int lane = threadIdx.x; lane < THREADS; lane += GROUPS) sum += of_threads[lane];
        of_groups[threadIdx.x] = sum;
    }
    __syncthreads();
    float sum = 0.0f;
    for (int group = 0; group < GROUPS; ++group) sum += of_groups[group];
    return sum;
}

__device__ float sigmoid(float value) { return 1.0f / (1.0f + expf(-value)); }

// Keypoints [K, 3] (x, y, score) of logits [K, rows, cols]; a block for each.
extern "C" __global__ void __launch_bounds__(THREADS) decode_small(
    const float* __restrict__ logits, const float* __restrict__ intercept, float* __restrict__ out, int rows, int cols,
    float slope) {
    __shared__ float near[SIDE * SIDE];
    const int keypoint = blockIdx.x, lane = threadIdx.x, cells = rows * cols;
    const float* map = logits + static_cast<size_t>(keypoint) * cells;
    const Peak peak = peak_of(map, cells);
    const int first_row = peak.cell / cols - WINDOW, first_col = peak.cell % cols - WINDOW;

    float part = 0.0f;
    for (int cell = lane; cell < cells; cell += THREADS) part += expf(map[cell] - peak.value);
    if (lane < SIDE * SIDE) {
        const int row = first_row + lane / SIDE, col = first_col + lane % SIDE;
        const bool inside = row >= 0 && row < rows && col >= 0 && col < cols;
        near[lane] = inside ? expf(map[row * cols + col] - peak.value) : 0.0f;
    }
    const float total = sum_of(part);  // Its barriers also stand between writing and reading `near`.
    if (lane > 0) return;

    float mass = 0.0f, x = 0.0f, y = 0.0f;
    for (int cell = 0; cell < SIDE * SIDE; ++cell) {
        const float weight = near[cell] / total;
        mass += weight;
        x += weight * static_cast<float>(first_col + cell % SIDE);
        y += weight * static_cast<float>(first_row + cell / SIDE);
    }
    x /= mass;
    y /= mass;
    float spread = 0.0f;
    for (int cell = 0; cell < SIDE * SIDE; ++cell) {
        const float across = static_cast<float>(first_col + cell % SIDE) - x;
        const float down = static_cast<float>(first_row + cell / SIDE) - y;
        spread += near[cell] / total * (across * across + down * down);
    }
    spread = spread + (1.0f - mass) * ELSEWHERE + SMALLEST_SPREAD;
    const float centre = (STRIDE - 1.0f) / 2.0f;
    float* keypoints = out + keypoint * 3;
    keypoints[0] = x * STRIDE + centre;
    keypoints[1] = y * STRIDE + centre;
    keypoints[2] = sigmoid(intercept[keypoint] - slope * logf(spread));
}

// Keypoints [K, 4] (x, y, score, likelihood) of a heatmap and two offset maps, [K, rows, cols] each; a block for each.
extern "C" __global__ void __launch_bounds__(THREADS) decode_facemap(
    const float* __restrict__ heat, const float* __restrict__ row_offset, const float* __restrict__ col_offset,
    float* __restrict__ out, int rows, int cols) {
    __shared__ float near[SIDE * SIDE];
    const int keypoint = blockIdx.x, lane = threadIdx.x, cells = rows * cols;
    const size_t start = static_cast<size_t>(keypoint) * cells;
    const float* map = heat + start;
    const Peak peak = peak_of(map, cells);
    const int peak_row = peak.cell / cols, peak_col = peak.cell % cols;

    float part = 0.0f;
    for (int cell = lane; cell < cells; cell += THREADS) part += map[cell];
    if (lane < SIDE * SIDE) {
        const int down = lane / SIDE - WINDOW, across = lane % SIDE - WINDOW;
        const int row = peak_row + down, col = peak_col + across;
        const bool inside = row >= 0 && row < rows && col >= 0 && col < cols;
        near[lane] = inside && down * down + across * across <= WINDOW * WINDOW ? map[row * cols + col] : 0.0f;
    }
    const float total = sum_of(part);  // Its barriers also stand between writing and reading `near`.
    if (lane > 0) return;

    float mass = 0.0f;
    for (int cell = 0; cell < SIDE * SIDE; ++cell) mass += near[cell];
    const float share = mass / (total <= 0.0f ? total + 1.0f : total);
    float* keypoints = out + keypoint * 4;
    keypoints[0] = (static_cast<float>(peak_col) - FACEMAP_OFFSET * col_offset[start + peak.cell]) * STRIDE;
    keypoints[1] = (static_cast<float>(peak_row) - FACEMAP_OFFSET * row_offset[start + peak.cell]) * STRIDE;
    keypoints[2] = share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;  // Lets NaN through, as torch's clamp does.
    keypoints[3] = sigmoid(peak.value);
}
