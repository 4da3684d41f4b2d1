//! Memory of this process that nobody uses any more.

/// Gives it back to the kernel; the allocator would keep it for the next one who asks.
pub fn give_back() {
    // SAFETY: malloc_trim(3) touches only what the allocator itself holds as free, under its own locks.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
