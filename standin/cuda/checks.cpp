// Checks every memory access of kernels compiled with checks: does the address belong to an allocation, is it aligned, and
// could another thread access the same shared memory at the same time?
//
// The compiler's thread sanitizer inserts a call before each access; these functions replace those of its library.
//
// Two accesses to shared memory are a hazard if they are by different threads, at least one of them writes, they aren't both
// atomic, and nothing orders them: neither a barrier of the block nor, within a warp, a __syncwarp of all its lanes. Votes and
// shuffles order nothing. Hazards are found in whichever order the threads happened to run.
#include "fibers.h"

#include <cstdio>
#include <cstdlib>

extern "C" char __start_standin_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_standin_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __start_standin_own[] __attribute__((visibility("hidden")));
extern "C" char __stop_standin_own[] __attribute__((visibility("hidden")));

namespace standin {
namespace {

constexpr unsigned WARP = 32;

struct Range {
    uintptr_t start, end;
};

// The last accesses to some shared memory.
struct Shadow {
    // The epochs of the last write and read; 0: never.
    unsigned written, read;
    // The warp's epochs at the last write and read.
    unsigned written_warp_epoch, read_warp_epoch;
    unsigned short writer, reader;
    bool write_atomic, read_atomic;
    // Threads of more than one warp read it in that epoch, or several of one warp in the warp's epoch.
    bool several_warps, several_lanes;
};

// Four bytes of shared memory, the usual size of an access.
struct Word {
    Shadow whole;
    // If this is the current block's first epoch, single bytes were accessed: each has its own shadow.
    unsigned split;
    Shadow bytes[4];
};

const Range* ranges;
size_t range_count;
Range last_range;
Word* words;
size_t shared_bytes;
unsigned epoch, block_epoch;
unsigned warp_epochs[32];

bool before(unsigned when, unsigned warp_epoch, unsigned thread)
{
    return when < epoch || (thread / WARP == running / WARP && warp_epoch < warp_epochs[running / WARP]);
}

[[noreturn]] void hazard(size_t offset, const char* kind, unsigned other)
{
    fail(launch_failed,
         "hazard: it %s thread %u at byte %zu of shared memory, and no barrier orders the two accesses", kind, other,
         offset);
}

void read(Shadow& s, size_t offset, bool atomic)
{
    if (s.written < block_epoch)
        fail(launch_failed, "it reads byte %zu of shared memory, which was never written", offset);
    if (s.writer != running && !before(s.written, s.written_warp_epoch, s.writer) && !(atomic && s.write_atomic))
        hazard(offset, "reads after a write by", s.writer);
    unsigned warp = running / WARP, own = warp_epochs[warp];
    if (s.read != epoch) {
        s.several_warps = s.several_lanes = false;
        s.read_atomic = atomic;
    } else if (s.reader / WARP != warp) {
        s.several_warps = true;
    } else if (s.read_warp_epoch != own) {
        s.several_lanes = false;
    } else if (s.reader != running) {
        s.several_lanes = true;
    }
    s.read_atomic = s.read_atomic && atomic;
    s.read = epoch;
    s.read_warp_epoch = own;
    s.reader = (unsigned short)running;
}

void write(Shadow& s, size_t offset, bool atomic)
{
    if (s.written != 0 && s.writer != running && !before(s.written, s.written_warp_epoch, s.writer) &&
        !(atomic && s.write_atomic))
        hazard(offset, "writes after a write by", s.writer);
    if (s.read == epoch && !(atomic && s.read_atomic)) {
        bool same_warp = s.reader / WARP == running / WARP && !s.several_warps;
        bool others = same_warp ? s.read_warp_epoch == warp_epochs[running / WARP] &&
                                      (s.several_lanes || s.reader != running)
                                : true;
        if (others)
            hazard(offset, "writes after a read by", s.reader);
    }
    s.written = epoch;
    s.written_warp_epoch = warp_epochs[running / WARP];
    s.writer = (unsigned short)running;
    s.write_atomic = atomic;
}

void shared_access(size_t offset, size_t bytes, bool is_write)
{
    auto touch = [&](Shadow& s, size_t at) { is_write ? write(s, at, false) : read(s, at, false); };
    for (size_t end = offset + bytes; offset < end;) {
        Word& word = words[offset / 4];
        if (word.split != block_epoch && offset % 4 == 0 && end - offset >= 4) {
            touch(word.whole, offset);
            offset += 4;
            continue;
        }
        if (word.split != block_epoch) {
            word.split = block_epoch;
            for (Shadow& byte : word.bytes)
                byte = word.whole;
        }
        touch(word.bytes[offset % 4], offset);
        offset++;
    }
}

bool within(const Range& range, uintptr_t at, size_t bytes)
{
    return at >= range.start && at < range.end && range.end - at >= bytes;
}

void global_access(uintptr_t at, size_t bytes, const char* kind)
{
    if (within(last_range, at, bytes))
        return;
    size_t low = 0, high = range_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == range_count || !within(ranges[low], at, bytes))
        fail(illegal_address, "it %s %zu bytes at %#zx, which is not device memory of its context", kind, bytes, size_t(at));
    last_range = ranges[low];
}

inline void access(const volatile void* address, size_t bytes, bool write)
{
    uintptr_t at = reinterpret_cast<uintptr_t>(address);
    if (at - reinterpret_cast<uintptr_t>(stack) < STACK_BYTES)
        return;
    size_t offset = at - reinterpret_cast<uintptr_t>(__start_standin_shared);
    if (offset < shared_bytes) {
        shared_access(offset, bytes, write);
        return;
    }
    if (!write && within({reinterpret_cast<uintptr_t>(__start_standin_own), reinterpret_cast<uintptr_t>(__stop_standin_own)},
                         at, bytes))
        return;
    global_access(at, bytes, write ? "writes" : "reads");
}

inline void aligned_access(const volatile void* address, size_t bytes, bool write)
{
    if (reinterpret_cast<uintptr_t>(address) % bytes != 0)
        fail(misaligned_address, "it accesses %zu bytes at %p, which is not a multiple of that size", bytes,
             const_cast<const void*>(address));
    access(address, bytes, write);
}

} // namespace

void checks_begin(const void* known, size_t count)
{
    ranges = static_cast<const Range*>(known);
    range_count = count;
    last_range = {0, 0};
    if (words == nullptr) {
        shared_bytes = size_t(__stop_standin_shared - __start_standin_shared);
        words = static_cast<Word*>(calloc(shared_bytes / 4 + 1, sizeof(Word)));
        if (words == nullptr)
            abort();
    }
}

void checks_end()
{
    // Starts over long before epochs could overflow.
    if (epoch > 1u << 30) {
        memset(static_cast<void*>(words), 0, (shared_bytes / 4 + 1) * sizeof(Word));
        epoch = 0;
    }
}

void checks_block_begins()
{
    block_epoch = ++epoch;
    memset(warp_epochs, 0, sizeof(warp_epochs));
    // Reads of unwritten memory also show in the results.
    memset(__start_standin_shared, 0xff, shared_bytes);
}

void checks_barrier()
{
    epoch++;
}

void checks_warp_barrier(unsigned warp)
{
    warp_epochs[warp]++;
}

void checks_atomic(const void* at)
{
    size_t offset = reinterpret_cast<uintptr_t>(at) - reinterpret_cast<uintptr_t>(__start_standin_shared);
    if (reinterpret_cast<uintptr_t>(at) % 4 != 0)
        fail(misaligned_address, "an atomic operation at %p, which is not a multiple of 4", at);
    if (offset >= shared_bytes) {
        global_access(reinterpret_cast<uintptr_t>(at), 4, "changes");
        return;
    }
    Word& word = words[offset / 4];
    for (size_t i = 0; i < (word.split == block_epoch ? 4 : 1); i++) {
        Shadow& s = word.split == block_epoch ? word.bytes[i] : word.whole;
        read(s, offset + i, true);
        write(s, offset + i, true);
    }
}

} // namespace standin

using namespace standin;

#define STANDIN_ACCESS(bytes)                                                                                              \
    void __tsan_read##bytes(void* at)                                                                                      \
    {                                                                                                                      \
        aligned_access(at, bytes, false);                                                                                  \
    }                                                                                                                      \
    void __tsan_write##bytes(void* at)                                                                                     \
    {                                                                                                                      \
        aligned_access(at, bytes, true);                                                                                   \
    }                                                                                                                      \
    void __tsan_unaligned_read##bytes(void* at)                                                                            \
    {                                                                                                                      \
        access(at, bytes, false);                                                                                          \
    }                                                                                                                      \
    void __tsan_unaligned_write##bytes(void* at)                                                                           \
    {                                                                                                                      \
        access(at, bytes, true);                                                                                           \
    }                                                                                                                      \
    void __tsan_volatile_read##bytes(void* at)                                                                             \
    {                                                                                                                      \
        aligned_access(at, bytes, false);                                                                                  \
    }                                                                                                                      \
    void __tsan_volatile_write##bytes(void* at)                                                                            \
    {                                                                                                                      \
        aligned_access(at, bytes, true);                                                                                   \
    }

#pragma GCC visibility push(hidden)
extern "C" {
STANDIN_ACCESS(1)
STANDIN_ACCESS(2)
STANDIN_ACCESS(4)
STANDIN_ACCESS(8)
STANDIN_ACCESS(16)

void __tsan_read_range(void* at, size_t bytes)
{
    access(at, bytes, false);
}

void __tsan_write_range(void* at, size_t bytes)
{
    access(at, bytes, true);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
}
#pragma GCC visibility pop
