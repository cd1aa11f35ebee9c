// Runs the kernels of kernels.cu on the CPU, compiled by g++ from the same source.
//
// A block's threads are fibers. A fiber runs until it reaches a barrier or ends; then the next one runs. Blocks run one
// after the other, and all shared memory is filled with rubbish before each. Told of as errors:
// - threads of a block that wait at different barriers, or some that wait while others have ended;
// - a signal (an address outside the buffers' pages, a misaligned vector, an index beyond a shared array: the library is
//   compiled with traps for undefined behaviour);
// - arguments whose number or types are not the kernel's.
// Threads and blocks run forwards or backwards: where both give the same, nothing hangs on an order that CUDA does
// not promise, because within each stretch between two barriers the first thread then ran before and after the last.

#include <csetjmp>
#include <csignal>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include <ucontext.h>

struct dim3 {
    unsigned int x, y, z;
};

struct alignas(16) uint4 {
    unsigned int x, y, z, w;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

static void wait_at(int line);

static unsigned int atomicAdd(unsigned int* address, unsigned int value) {
    const unsigned int before = *address;
    *address = before + value;
    return before;
}

#define __global__
#define __device__ static inline
#define __launch_bounds__(threads)
#define __shared__ static __attribute__((section("shared_memory")))
#define __syncthreads() wait_at(__LINE__)

#include "kernels.cu"

extern "C" unsigned char __start_shared_memory[], __stop_shared_memory[];

namespace {

constexpr unsigned int FIBERS = 256;
constexpr std::size_t STACK = 32768;

enum class State { running, waiting, ended };

struct Fiber {
    ucontext_t context;
    State state;
    int line;
};

Fiber fibers[FIBERS];
char* stacks = nullptr;
ucontext_t scheduler;
unsigned int current = 0;
void (*kernel)() = nullptr;
bool made = false;

struct Failure {
    std::string what;
};

sigjmp_buf escape;
volatile sig_atomic_t raised = 0;

void on_signal(int number) {
    raised = number;
    siglongjmp(escape, 1);
}

void fiber() {
    for (;;) {
        kernel();
        fibers[current].state = State::ended;
        swapcontext(&fibers[current].context, &scheduler);
    }
}

void make_fibers() {
    if (!stacks) stacks = static_cast<char*>(std::malloc(STACK * FIBERS));
    for (unsigned int index = 0; index < FIBERS; ++index) {
        ucontext_t& context = fibers[index].context;
        getcontext(&context);
        context.uc_stack.ss_sp = stacks + STACK * index;
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, fiber, 0);
    }
    made = true;
}

void run_block(bool backwards) {
    std::memset(__start_shared_memory, 0xA5, __stop_shared_memory - __start_shared_memory);
    for (bool ended = false; !ended;) {
        for (unsigned int turn = 0; turn < FIBERS; ++turn) {
            current = backwards ? FIBERS - 1 - turn : turn;
            threadIdx = {current, 0, 0};
            fibers[current].state = State::running;
            swapcontext(&scheduler, &fibers[current].context);
        }
        for (const Fiber& one : fibers)
            if (one.state != fibers[0].state || (one.state == State::waiting && one.line != fibers[0].line))
                throw Failure{"the threads of block " + std::to_string(blockIdx.x) + " are not all at one barrier"};
        ended = fibers[0].state == State::ended;
    }
}

template <typename Parameter>
const char* kind() {
    if constexpr (std::is_pointer_v<Parameter> || std::is_same_v<Parameter, unsigned long long>) return "u8";
    else if constexpr (std::is_same_v<Parameter, int>) return "i4";
    else if constexpr (std::is_same_v<Parameter, float>) return "f4";
}

template <typename... Parameters, std::size_t... Index>
void start(
    void (*function)(Parameters...), const std::string& kinds, void** arguments, bool backwards,
    std::index_sequence<Index...>) {
    const std::string wanted = (std::string() + ... + kind<Parameters>());
    if (kinds != wanted) throw Failure{"the arguments are " + kinds + ", the kernel takes " + wanted};
    static void (*called)(Parameters...);
    static void** given;
    called = function;
    given = arguments;
    kernel = [] { called(*static_cast<std::remove_const_t<Parameters>*>(given[Index])...); };
    for (unsigned int block = 0; block < gridDim.x; ++block) {
        blockIdx = {backwards ? gridDim.x - 1 - block : block, 0, 0};
        run_block(backwards);
    }
}

template <typename... Parameters>
void launch(void (*function)(Parameters...), const std::string& kinds, void** arguments, bool backwards) {
    start(function, kinds, arguments, backwards, std::index_sequence_for<Parameters...>());
}

void find_and_launch(const std::string& name, const std::string& kinds, void** arguments, bool backwards) {
    if (name == "histogram") launch(histogram, kinds, arguments, backwards);
    else if (name == "prepare_f32") launch(prepare_f32, kinds, arguments, backwards);
    else if (name == "prepare_f16") launch(prepare_f16, kinds, arguments, backwards);
    else if (name == "decode_small") launch(decode_small, kinds, arguments, backwards);
    else if (name == "decode_facemap") launch(decode_facemap, kinds, arguments, backwards);
    else throw Failure{"there is no kernel " + name};
}

}  // namespace

static void wait_at(int line) {
    fibers[current].state = State::waiting;
    fibers[current].line = line;
    swapcontext(&fibers[current].context, &scheduler);
}

// As cuLaunchKernel: `arguments` holds the address of each argument; `kinds` their numpy types, one after the other.
// Returns 0, or 1 and a message.
extern "C" int emulate_launch(
    const char* name, const unsigned int* grid, const unsigned int* block, const char* kinds, void** arguments,
    int backwards, char* message, std::size_t length) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    static char signal_stack[65536];
    constexpr std::size_t count = sizeof signals / sizeof *signals;
    struct sigaction before[count], action = {};
    stack_t stack = {}, stack_before;
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    sigaltstack(&stack, &stack_before);
    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    for (std::size_t index = 0; index < count; ++index) sigaction(signals[index], &action, &before[index]);

    int failed = 0;
    raised = 0;
    if (sigsetjmp(escape, 1) == 0) {
        try {
            gridDim = {grid[0], grid[1], grid[2]};
            blockDim = {block[0], block[1], block[2]};
            if (block[0] != FIBERS || block[1] * block[2] * grid[1] * grid[2] != 1 || grid[0] < 1)
                throw Failure{"a launch has one dimension, and 256 threads a block"};
            if (!made) make_fibers();
            find_and_launch(name, kinds, arguments, backwards != 0);
        } catch (const Failure& failure) {
            failed = 1;
            std::snprintf(message, length, "%s", failure.what.c_str());
        }
    } else {
        failed = 1;
        std::snprintf(
            message, length, "thread %u of block %u: %s", threadIdx.x, blockIdx.x, strsignal(raised));
    }
    if (failed) made = false;
    for (std::size_t index = 0; index < count; ++index) sigaction(signals[index], &before[index], nullptr);
    sigaltstack(&stack_before, nullptr);
    return failed;
}

// The neighbours and weights of `count` positions of one axis, as `prepare` computes them.
extern "C" void emulate_taps(
    int count, int length, float scale, float lowest, float highest, float shift, int* neighbours, float* weights) {
    for (int index = 0; index < count; ++index) {
        const Taps taps = taps_of(index, length, scale, lowest, highest, shift);
        neighbours[index] = taps.first;
        neighbours[count + index] = taps.second;
        weights[index] = taps.first_weight;
        weights[count + index] = taps.second_weight;
    }
}

extern "C" void emulate_half(int count, const float* values, __half* halves) {
    for (int index = 0; index < count; ++index) halves[index] = __float2half_rn(values[index]);
}
