"""The memory of a process that computes on a CPU, kept."""
import ctypes
import mmap
import os
import sys

# Of glibc's malloc.h: options of mallopt, with what is wanted of them.
KEPT = {-1: -1,  # M_TRIM_THRESHOLD: give nothing back to the system
        -4: 0,   # M_MMAP_MAX: take no array's memory from the system by itself
        -8: 1}   # M_ARENA_MAX: so for the arrays of all threads
LARGE_PAGE = 2 ** 21


def keep_memory():
    """Let a process keep the memory that its arrays have had, and have a quarter of the machine's in large pages.

    A compiled step takes memory for what it computes between, and gives it back. By itself glibc hands so much at
    once on to the system, which then clears every page anew for the next step: for ResNet8 32,000 of them, a fifth
    of the time (results/performance.md). To be called before JAX starts its threads; by commands alone, as it is for
    the whole process. Nothing is taken before it is used. Does nothing without glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == 'linux' else None
    if not hasattr(libc, 'mallopt'):
        return
    for option, value in KEPT.items():
        libc.mallopt(option, value)
    size = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 4
    libc.malloc.restype = ctypes.c_void_p
    if start := libc.malloc(ctypes.c_size_t(size)):
        first, end = -(-start // LARGE_PAGE) * LARGE_PAGE, (start + size) // LARGE_PAGE * LARGE_PAGE
        libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(start))
