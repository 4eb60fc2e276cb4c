//! Deals documents to peers so that every peer has as many, and as nearly as possible as many bytes.
//!
//! Belongs here: the split alone. Not here: peers, names, or the order of downloads.

/// Splits the documents of these sizes into `shares` shares of equal number; each holds indexes, rising.
///
/// The number of documents must be a multiple of `shares`; what is left over would be dealt to nobody.
pub(super) fn deal(sizes: &[u64], shares: usize) -> Vec<Vec<usize>> {
    let mut dealt = largest_first(sizes, shares);
    while swap_best_pair(sizes, &mut dealt) {}
    for share in &mut dealt {
        share.sort_unstable();
    }
    dealt
}

/// The bytes of one share.
pub(super) fn share_bytes(sizes: &[u64], share: &[usize]) -> u64 {
    share.iter().map(|&document| sizes[document]).sum()
}

/// Every document, the largest first, to the lightest share that has room.
fn largest_first(sizes: &[u64], shares: usize) -> Vec<Vec<usize>> {
    let room = sizes.len() / shares.max(1);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&document| (core::cmp::Reverse(sizes[document]), document));
    let mut dealt = vec![Vec::with_capacity(room); shares];
    for document in order {
        let lightest = dealt
            .iter_mut()
            .filter(|share| share.len() < room)
            .min_by_key(|share| share_bytes(sizes, share));
        if let Some(share) = lightest {
            share.push(document);
        }
    }
    dealt
}

/// Swaps the two documents whose exchange evens two shares out most; false if no exchange helps.
///
/// Each swap lowers the sum of the squared shares, a whole number, so this comes to an end.
fn swap_best_pair(sizes: &[u64], dealt: &mut [Vec<usize>]) -> bool {
    let weights: Vec<i128> = dealt
        .iter()
        .map(|share| i128::from(share_bytes(sizes, share)))
        .collect();
    let mut best = None;
    let mut gain_max = 0;
    for (heavy, light) in pairs(dealt.len()) {
        let gap = weights[heavy] - weights[light];
        for (i, &given) in dealt[heavy].iter().enumerate() {
            for (j, &taken) in dealt[light].iter().enumerate() {
                let moved = i128::from(sizes[given]) - i128::from(sizes[taken]);
                let gain = moved * (gap - moved);
                if gain > gain_max {
                    gain_max = gain;
                    best = Some((heavy, i, light, j));
                }
            }
        }
    }
    let Some((heavy, i, light, j)) = best else {
        return false;
    };
    let given = dealt[heavy][i];
    dealt[heavy][i] = core::mem::replace(&mut dealt[light][j], given);
    true
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of sixty real RFCs: two hold a sixth of all bytes.
    pub(super) const RFC_BYTES: [u64; 60] = [
        502_941, 422_284, 263_696, 225_929, 222_702, 209_580, 205_947, 172_710, 166_198, 161_720, 147_316,
        141_811, 139_990, 126_813, 122_549, 116_685, 113_738, 109_849, 109_478, 94_892, 88_295, 84_558,
        80_972, 80_786, 77_786, 77_453, 72_951, 67_181, 66_160, 64_049, 60_977, 59_014, 56_294, 55_076,
        55_048, 52_826, 48_170, 45_952, 43_224, 38_517, 35_010, 34_928, 32_155, 32_143, 30_254, 28_732,
        24_164, 24_156, 21_556, 21_088, 18_504, 16_200, 15_170, 15_004, 13_590, 13_484, 12_228, 7_441, 7_284,
        5_896,
    ];

    #[test]
    fn real_documents_deal_within_one_percent() {
        let dealt = deal(&RFC_BYTES, 6);
        let mut seen: Vec<usize> = dealt.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
        assert!(dealt.iter().all(|share| share.len() == 10 && share.is_sorted()));
        let largest = dealt
            .iter()
            .map(|share| share_bytes(&RFC_BYTES, share))
            .max()
            .unwrap();
        let mean = RFC_BYTES.iter().sum::<u64>() / 6;
        assert!(largest * 100 <= mean * 101, "largest {largest}, mean {mean}");
    }

    #[test]
    fn one_giant_and_equal_ones_still_deal_ten_each() {
        let mut sizes = [100; 60];
        sizes[7] = 1_000_000;
        assert!(deal(&sizes, 6).iter().all(|share| share.len() == 10));
        assert_eq!(deal(&[0; 60], 6).iter().map(Vec::len).sum::<usize>(), 60);
    }
}
