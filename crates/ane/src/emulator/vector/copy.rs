//! Elements into row-major order.

use half::f16;

use super::super::layout::View;
use super::nest::Nest;
use super::transpose::transpose;

/// Rows shorter than this are copied element by element.
const SHORT: usize = 4;

/// The elements of `x`, row-major and bit for bit. `out` has as many.
pub(crate) fn copy(x: View<'_>, out: &mut [f16]) {
    Nest::new([&x.layout]).divide(out, 1, &|nest, out| piece(&nest, x.data, out));
}

/// The same on this thread.
pub(super) fn piece(nest: &Nest<1>, data: &[f16], out: &mut [f16]) {
    let (row, [step]) = (nest.row(), nest.row_steps());
    if row < SHORT {
        nest.each().zip(out).for_each(|([at], out)| *out = data[at]);
        return;
    }
    let rows = nest.rows().zip(out.chunks_exact_mut(row));
    match step {
        1 => rows.for_each(|([at], out)| out.copy_from_slice(&data[at..at + row])),
        0 => rows.for_each(|([at], out)| out.fill(data[at])),
        _ => match nest.dims().iter().enumerate().position(|(i, _)| nest.steps(i) == [1]) {
            Some(axis) => turn(nest, axis, data, out),
            None => rows.for_each(|([at], out)| gather(data, at, step, out)),
        },
    }
}

/// Elements `step` apart.
pub(super) fn gather(data: &[f16], at: usize, step: isize, out: &mut [f16]) {
    let mut at = at;
    for out in out {
        *out = data[at];
        at = at.wrapping_add_signed(step);
    }
}

/// Where `axis` lies without gaps in the source: that axis and the innermost one are turned, for each
/// place of the others.
fn turn(nest: &Nest<1>, axis: usize, data: &[f16], out: &mut [f16]) {
    let inner = nest.dims().len() - 1;
    let target = nest.with_dense(0);
    let (size, [step]) = ([nest.dims()[inner], nest.dims()[axis]], nest.row_steps());
    let out_step = target.steps(axis)[0] as usize;
    let others = |nest: &Nest<1>| nest.without_axis(inner).without_axis(axis).each();
    for ([from], [to]) in others(nest).zip(others(&target)) {
        let start = |row: usize| from.wrapping_add_signed(row as isize * step);
        transpose(data, start, size, &mut out[to..], out_step);
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::Shape;
    use proptest::prelude::*;

    use super::super::super::layout::Layout;
    use super::super::testing::{assert_bits, bits, in_threads, view};
    use super::*;

    fn copied(x: View<'_>) -> Vec<f16> {
        let mut out = vec![f16::ONE; x.layout.elements()];
        copy(x, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn keeps_elements_and_their_order(source in view(90)) {
            let x = source.view();
            assert_bits("copy", &copied(x), &x.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn large_tensors_are_shared_by_threads() {
        let data = bits(1, 3 * 301 * 130);
        let layout = Layout::dense(&Shape::new(&[3, 301, 130]).unwrap(), 0).unwrap();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let x = View { data: &data, layout: layout.permuted(&order) };
            let want: Vec<f16> = x.iter().collect();
            for threads in [1, 2] {
                assert_bits("copy", &in_threads(threads, || copied(x)), &want);
            }
        }
    }
}
