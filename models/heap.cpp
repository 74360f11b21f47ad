#include "heap.h"

#include <cstdlib>    // defines __GLIBC__

#if defined(__GLIBC__)

#include <climits>
#include <malloc.h>

void mlff::keep_freed_memory()
{
  mallopt(M_MMAP_MAX, 0);                // large blocks from the heap too, where they can be reused
  mallopt(M_TRIM_THRESHOLD, INT_MAX);    // and the heap's end stays
}

std::size_t mlff::heap_bytes()
{
  return mallinfo2().arena;
}

#else

void mlff::keep_freed_memory() {}

std::size_t mlff::heap_bytes()
{
  return 0;
}

#endif
