"""A binary heap over node numbers with decrease-key, for the Dijkstra searches.

`heap[:size]` holds nodes, `position[node]` their place in it or -1, `key[node]` what they are ordered by.
"""

from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def push_or_decrease(heap: IntArray, position: IntArray, size: int, key: FloatArray, node: int) -> int:
    """Insert `node`, or restore the order after its key was lowered; return the new heap size."""
    place = position[node]
    if place < 0:
        place = size
        size += 1
    while place > 0:
        above = (place - 1) >> 1
        other = heap[above]
        if key[other] <= key[node]:
            break
        heap[place] = other
        position[other] = place
        place = above
    heap[place] = node
    position[node] = place
    return size


@kernel
def pop_smallest(heap: IntArray, position: IntArray, size: int, key: FloatArray) -> int:
    """Remove and return the node with the smallest key; the caller's heap size drops by one."""
    top = heap[0]
    position[top] = -1
    size -= 1
    if size > 0:
        node = heap[size]
        place = 0
        while True:
            below = 2 * place + 1
            if below >= size:
                break
            if below + 1 < size and key[heap[below + 1]] < key[heap[below]]:
                below += 1
            other = heap[below]
            if key[node] <= key[other]:
                break
            heap[place] = other
            position[other] = place
            place = below
        heap[place] = node
        position[node] = place
    return int(top)
