//! The two things that a table wants of the processor and that plain Rust does not say: a hint to
//! load memory, and the comparison of many bytes at once.

/// How many bytes [`positions_of`] compares.
pub(super) const BYTES: usize = 32;

/// Asks the processor to load the cache lines where `target` begins and ends. It changes nothing
/// that a program can see; where there is no such instruction it does nothing.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a prefetch reads nothing and cannot fault; it has no safe form")
)]
pub(super) fn prefetch<T>(target: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let begin = std::ptr::from_ref(target).cast::<i8>();
        let end = begin.wrapping_add(size_of::<T>().saturating_sub(1));
        // SAFETY: the instruction is part of every x86-64 processor and accepts any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(begin);
            _mm_prefetch::<_MM_HINT_T0>(end);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = target;
}

/// A bit for each of the bytes that equals `wanted`, the lowest for the first.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "instructions that every x86-64 processor has")
)]
pub(super) fn positions_of(wanted: u8, bytes: &[u8; BYTES]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
        };
        let (low, high) = bytes.split_at(BYTES / 2);
        // SAFETY: SSE2 is part of every x86-64 processor; each half has the 16 bytes that are
        // loaded, at any alignment.
        let [low, high] = [low, high].map(|half| unsafe {
            let sixteen = _mm_loadu_si128(half.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8(wanted as i8))) as u32
        });
        low | high << 16
    }
    #[cfg(not(target_arch = "x86_64"))]
    (0..).zip(bytes).fold(0, |found, (at, byte)| found | u32::from(*byte == wanted) << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_equal_byte_has_its_bit() {
        let mut bytes = [7; BYTES];
        assert_eq!(positions_of(9, &bytes), 0);
        assert_eq!(positions_of(7, &bytes), !0);
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = at as u8 % 20;
        }
        for wanted in 0..20 {
            let low = 1u32 << wanted;
            let high = if wanted < 12 { low << 20 } else { 0 };
            assert_eq!(positions_of(wanted as u8, &bytes), low | high);
        }
    }
}
