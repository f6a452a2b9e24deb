// Runs the threads of a block as fibers of one CPU thread: they switch wherever CUDA lets them wait for each other, in an
// order shuffled by a seed. Blocks run one after the other, in an order shuffled by the seed too.
#include "fibers.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <utility>

// Saves the callee-saved registers and the stack pointer, and continues where `to` was saved.
extern "C" void standin_switch(void** from, void* to);
asm(R"(
.text
.local standin_switch
.type standin_switch, @function
standin_switch:
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size standin_switch, .-standin_switch
)");

namespace standin {

constexpr unsigned WARP = 32;
constexpr unsigned MOST_THREADS = 1024;

STANDIN_OWN Position* position;
STANDIN_OWN uint3 block_size, grid_size;
unsigned running;
const char* stack;

// Passed by the Rust side, which receives the message. kernel.rs has the same structure.
struct Launch {
    const Kernel* kernel;
    unsigned grid[3];
    unsigned block[3];
    const void* args;
    uint64_t seed;
    // Memory that may be accessed; null without checks.
    const void* ranges;
    size_t range_count;
    char message[1024];
};

namespace {

enum class Wait { nothing, barrier, warp, ended };

struct Fiber {
    void* saved;
    Position at;
    Wait wait;
    uint64_t got;
};

// A warp operation in progress.
struct Warp {
    unsigned arrived, ended, mask, argument;
    Operation operation;
    uint64_t values[WARP];
};

STANDIN_OWN Fiber fibers[MOST_THREADS];
Warp warps[MOST_THREADS / WARP];
unsigned ready[MOST_THREADS];
unsigned ready_count, thread_count, ended_count, waiting_count;
void* scheduler;
char* stacks;
Launch* launch;
bool checked;
int outcome;
uint64_t random_state;
// Only one kernel runs at a time: shared memory and all of the above exist once per process.
pthread_mutex_t device = PTHREAD_MUTEX_INITIALIZER;
// The CPU thread that is running a fiber.
volatile pthread_t in_fiber;
volatile bool is_in_fiber;

uint64_t random_number()
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void leave()
{
    Fiber& own = fibers[running];
    standin_switch(&own.saved, scheduler);
}

void make_ready(unsigned thread)
{
    fibers[thread].wait = Wait::nothing;
    ready[ready_count++] = thread;
}

// All remaining threads wait at the barrier.
void pass_barrier()
{
    if (waiting_count == 0 || waiting_count + ended_count < thread_count)
        return;
    waiting_count = 0;
    if (checked)
        checks_barrier();
    for (unsigned thread = 0; thread < thread_count; thread++)
        if (fibers[thread].wait == Wait::barrier)
            make_ready(thread);
}

unsigned lanes_of(unsigned warp)
{
    unsigned count = thread_count - warp * WARP;
    return count >= WARP ? 0xffffffffu : (1u << count) - 1;
}

uint64_t result_of(const Warp& w, unsigned lane)
{
    switch (w.operation) {
    case Operation::sync: return 0;
    case Operation::ballot: {
        unsigned bits = 0;
        for (unsigned other = 0; other < WARP; other++)
            if ((w.arrived >> other) & 1)
                bits |= unsigned(w.values[other] != 0) << other;
        return bits;
    }
    case Operation::shuffle:
    case Operation::shuffle_xor:
    case Operation::shuffle_up: {
        unsigned from = w.operation == Operation::shuffle ? w.argument % WARP
                        : w.operation == Operation::shuffle_xor ? lane ^ w.argument
                                                                : lane - w.argument;
        if (w.operation == Operation::shuffle_up && w.argument > lane)
            return w.values[lane];
        if (from >= WARP || !((w.arrived >> from) & 1))
            fail(launch_failed, "a shuffle reads lane %u, which doesn't take part in it", from);
        return w.values[from];
    }
    }
    return 0;
}

// All remaining lanes of the mask take part.
void pass_warp(unsigned warp)
{
    Warp& w = warps[warp];
    if (w.arrived == 0 || (w.mask & ~(w.arrived | w.ended)) != 0)
        return;
    if (checked && w.operation == Operation::sync && (w.mask & lanes_of(warp)) == lanes_of(warp))
        checks_warp_barrier(warp);
    unsigned arrived = w.arrived;
    for (unsigned lane = 0; lane < WARP; lane++)
        if ((arrived >> lane) & 1)
            fibers[warp * WARP + lane].got = result_of(w, lane);
    w.arrived = 0;
    for (unsigned lane = 0; lane < WARP; lane++)
        if ((arrived >> lane) & 1)
            make_ready(warp * WARP + lane);
}

// The entry point of every fiber.
void enter()
{
    launch->kernel->run(launch->args);
    fibers[running].wait = Wait::ended;
    ended_count++;
    warps[running / WARP].ended |= 1u << (running % WARP);
    pass_warp(running / WARP);
    pass_barrier();
    leave();
    __builtin_unreachable();
}

void start(unsigned thread, uint3 block)
{
    Fiber& fiber = fibers[thread];
    fiber.at.block = block;
    fiber.at.thread = {thread % block_size.x, thread / block_size.x % block_size.y,
                       thread / (block_size.x * block_size.y)};
    // The return address is `enter`, with the stack as after a call; six registers are below it.
    void** top = reinterpret_cast<void**>(stacks + (thread + 1) * STACK_BYTES) - 2;
    *top = reinterpret_cast<void*>(&enter);
    for (int i = 1; i <= 6; i++)
        top[-i] = nullptr;
    fiber.saved = top - 6;
    make_ready(thread);
}

const char* name_of(Wait wait)
{
    switch (wait) {
    case Wait::barrier: return "__syncthreads";
    case Wait::warp: return "a warp operation";
    case Wait::ended: return "its end";
    default: return "nothing";
    }
}

void report_deadlock()
{
    unsigned first = 0;
    while (first < thread_count && fibers[first].wait == Wait::ended)
        first++;
    unsigned other = first;
    while (other < thread_count && (fibers[other].wait == fibers[first].wait || fibers[other].wait == Wait::ended))
        other++;
    outcome = launch_failed;
    snprintf(launch->message, sizeof(launch->message),
             "deadlock: thread %u waits at %s, thread %u at %s", first, name_of(fibers[first].wait),
             other < thread_count ? other : first, name_of(fibers[other < thread_count ? other : first].wait));
}

void run_block(uint3 block)
{
    ready_count = ended_count = waiting_count = 0;
    for (unsigned warp = 0; warp * WARP < thread_count; warp++)
        warps[warp].arrived = warps[warp].ended = 0;
    if (checked)
        checks_block_begins();
    for (unsigned thread = thread_count; thread-- > 0;)
        start(thread, block);
    while (ready_count != 0 && outcome == ok) {
        if (random_state != 0)
            std::swap(ready[random_number() % ready_count], ready[ready_count - 1]);
        running = ready[--ready_count];
        position = &fibers[running].at;
        stack = stacks + running * STACK_BYTES;
        standin_switch(&scheduler, fibers[running].saved);
    }
    if (outcome == ok && ended_count != thread_count)
        report_deadlock();
}

struct sigaction before;

// A fault at an unmapped address, such as the guards around each memory block. The launch fails, not the process.
void on_fault(int number, siginfo_t* info, void* context)
{
    if (!is_in_fiber || !pthread_equal(in_fiber, pthread_self())) {
        if (before.sa_flags & SA_SIGINFO)
            before.sa_sigaction(number, info, context);
        else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
            before.sa_handler(number);
        else
            // The access is repeated with the default action.
            sigaction(number, &before, nullptr);
        return;
    }
    snprintf(launch->message, sizeof(launch->message), "thread %u of block %u,%u,%u accesses %p, which is not mapped", running,
             position->block.x, position->block.y, position->block.z, info->si_addr);
    outcome = illegal_address;
    // Continues in `leave`, on the fiber's stack, aligned as after a call.
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RSP] = ((registers[REG_RSP] - 256) & ~15LL) - 8;
    registers[REG_RIP] = reinterpret_cast<greg_t>(&leave);
}

void prepare()
{
    static bool prepared = false;
    if (prepared)
        return;
    prepared = true;
    size_t bytes = MOST_THREADS * STACK_BYTES;
    stacks = static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stacks == MAP_FAILED)
        abort();
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before);
}

void run_blocks()
{
    uint64_t count = uint64_t(grid_size.x) * grid_size.y * grid_size.z;
    // A step coprime with the count visits every block once, in another order.
    uint64_t step = 1, first = 0;
    if (random_state != 0 && count > 1) {
        first = random_number() % count;
        auto divisor = [](uint64_t a, uint64_t b) {
            while (b != 0) {
                uint64_t rest = a % b;
                a = b;
                b = rest;
            }
            return a;
        };
        do
            step = 1 + random_number() % (count - 1);
        while (divisor(step, count) != 1);
    }
    for (uint64_t i = 0, at = first; i < count && outcome == ok; i++, at = (at + step) % count)
        run_block({unsigned(at % grid_size.x), unsigned(at / grid_size.x % grid_size.y),
                   unsigned(at / (uint64_t(grid_size.x) * grid_size.y))});
}

} // namespace

void fail(Outcome what, const char* format, ...)
{
    outcome = what;
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    snprintf(launch->message, sizeof(launch->message), "thread %u of block %u,%u,%u: %s", running, position->block.x,
             position->block.y, position->block.z, text);
    leave();
    __builtin_unreachable();
}

void barrier()
{
    fibers[running].wait = Wait::barrier;
    waiting_count++;
    pass_barrier();
    leave();
}

uint64_t warp(Operation operation, unsigned mask, uint64_t value, unsigned argument)
{
    unsigned lane = running % WARP;
    Warp& w = warps[running / WARP];
    if (!((mask >> lane) & 1))
        fail(launch_failed, "a warp operation whose mask %08x leaves out its own lane", mask);
    if (w.arrived != 0 && (w.operation != operation || w.mask != mask || w.argument != argument))
        fail(launch_failed, "its warp is executing another operation, or one with another mask (%08x, %08x)", w.mask, mask);
    w.operation = operation;
    w.mask = mask;
    w.argument = argument;
    w.values[lane] = value;
    w.arrived |= 1u << lane;
    fibers[running].wait = Wait::warp;
    pass_warp(running / WARP);
    leave();
    return fibers[running].got;
}

unsigned atomic_add(unsigned* at, unsigned value)
{
    if (checked)
        checks_atomic(at);
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

void fence()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

} // namespace standin

using namespace standin;

extern "C" int standin_launch(Launch* wanted)
{
    pthread_mutex_lock(&device);
    prepare();
    launch = wanted;
    outcome = ok;
    launch->message[0] = 0;
    checked = launch->ranges != nullptr;
    random_state = launch->seed;
    grid_size = {launch->grid[0], launch->grid[1], launch->grid[2]};
    block_size = {launch->block[0], launch->block[1], launch->block[2]};
    thread_count = block_size.x * block_size.y * block_size.z;
    if (checked)
        checks_begin(launch->ranges, launch->range_count);
    in_fiber = pthread_self();
    is_in_fiber = true;
    run_blocks();
    is_in_fiber = false;
    if (checked)
        checks_end();
    int result = outcome;
    pthread_mutex_unlock(&device);
    return result;
}
