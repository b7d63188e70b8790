//! The allocator of plugins: small blocks are recycled by size, all others are left to the
//! standard library's.
//!
//! A candidate arrives as some twenty small strings, each of which the host has the plugin
//! allocate and the plugin frees again. A general allocator takes a third of a decision's
//! time for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Blocks have 16, 32, … or 1024 bytes.
const CLASSES: usize = 7;
const SMALLEST: usize = 16;
/// Alignment of every block: that of the largest primitive type on wasm32.
const ALIGN: usize = 8;

/// Keeps what is freed for the next block of the same size.
pub(crate) struct RecyclingAllocator {
    /// For each size the blocks that are free, each beginning with a pointer to the next.
    free: UnsafeCell<[*mut u8; CLASSES]>,
}

// SAFETY: a component instance has one thread; `lib.rs` uses this allocator for wasm32
// without atomics only.
unsafe impl Sync for RecyclingAllocator {}

impl RecyclingAllocator {
    pub(crate) const fn new() -> Self {
        Self { free: UnsafeCell::new([ptr::null_mut(); CLASSES]) }
    }
}

/// Which size of block a layout gets; `None` when it is left to the standard library.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(SMALLEST);
    let class = (size - 1).ilog2() + 1 - SMALLEST.ilog2();
    let class = class as usize;
    (class < CLASSES && layout.align() <= ALIGN).then_some(class)
}

fn block(class: usize) -> Layout {
    // SAFETY: the alignment is a power of two, the size is small and not zero.
    unsafe { Layout::from_size_align_unchecked(SMALLEST << class, ALIGN) }
}

// SAFETY: a block is either in one list of free blocks or handed out, never both; it is
// as large and as aligned as its class says, which both directions compute alike.
unsafe impl GlobalAlloc for RecyclingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            return unsafe { System.alloc(layout) };
        };
        unsafe {
            let free = &mut (*self.free.get())[class];
            let head = *free;
            if head.is_null() {
                return System.alloc(block(class));
            }
            *free = head.cast::<*mut u8>().read();
            head
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            return unsafe { System.dealloc(pointer, layout) };
        };
        unsafe {
            let free = &mut (*self.free.get())[class];
            pointer.cast::<*mut u8>().write(*free);
            *free = pointer;
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (class(layout), class(wanted)) {
                (None, None) => System.realloc(pointer, layout, size),
                (Some(old), Some(new)) if old == new => pointer,
                _ => {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size));
                        self.dealloc(pointer, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_a_block_that_holds_it() {
        for size in 1..=1024 {
            let layout = Layout::from_size_align(size, 1).unwrap();
            let block = block(class(layout).unwrap());
            assert!(block.size() >= size && block.size() < 2 * size.max(SMALLEST), "{size}");
        }
        for (size, align) in [(1025, 1), (16, 16)] {
            assert_eq!(class(Layout::from_size_align(size, align).unwrap()), None);
        }
    }

    /// Random blocks, each filled with a byte of its own, of which none may change another.
    #[test]
    fn blocks_do_not_overlap_and_keep_what_is_in_them() {
        let allocator = RecyclingAllocator::new();
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let filled = |pointer: *mut u8, size: usize, byte: u8| {
            (0..size).all(|at| unsafe { pointer.add(at).read() } == byte)
        };
        for step in 0..20_000 {
            let (size, byte) = (1 + random(2000), step as u8);
            match random(3) {
                0 if !live.is_empty() => {
                    let (pointer, layout, byte) = live.swap_remove(random(live.len()));
                    assert!(filled(pointer, layout.size(), byte));
                    unsafe { allocator.dealloc(pointer, layout) };
                }
                1 if !live.is_empty() => {
                    let index = random(live.len());
                    let (pointer, layout, old) = live[index];
                    let moved = unsafe { allocator.realloc(pointer, layout, size) };
                    assert!(filled(moved, layout.size().min(size), old));
                    unsafe { moved.write_bytes(byte, size) };
                    let layout = Layout::from_size_align(size, layout.align()).unwrap();
                    live[index] = (moved, layout, byte);
                }
                _ => {
                    let layout = Layout::from_size_align(size, 1 << random(4)).unwrap();
                    let pointer = unsafe { allocator.alloc(layout) };
                    assert!(pointer.addr().is_multiple_of(layout.align()));
                    unsafe { pointer.write_bytes(byte, size) };
                    live.push((pointer, layout, byte));
                }
            }
        }
        for (pointer, layout, byte) in live {
            assert!(filled(pointer, layout.size(), byte));
            unsafe { allocator.dealloc(pointer, layout) };
        }
    }
}
