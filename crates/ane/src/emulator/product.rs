//! TEMPORARY scalar products.
use super::layout::MatrixLayout;
use crate::Arithmetic;
use half::f16;
/// How exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bit for bit.
    Exact,
    /// In f32.
    Fast,
}
impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }
}
pub(crate) struct Operand<'a> {
    pub(crate) data: &'a [f16],
    pub(crate) layout: MatrixLayout,
}
pub(crate) enum Bias<'a> {
    None,
    PerRow(&'a [f16]),
    PerColumn(&'a [f16]),
}
pub(crate) fn products(
    arithmetic: &Arithmetic,
    _mode: Mode,
    a: Operand<'_>,
    b: Operand<'_>,
    starts: &[(usize, usize)],
    bias: Bias<'_>,
    out: &mut [f16],
) {
    let (m, k, n) = (a.layout.rows, a.layout.cols, b.layout.cols);
    for (g, ((sa, sb), out)) in starts.iter().zip(out.chunks_exact_mut(m * n)).enumerate() {
        for i in 0..m {
            for j in 0..n {
                let x: Vec<f16> = (0..k)
                    .map(|p| {
                        a.data[(*sa as isize
                            + i as isize * a.layout.row_step
                            + p as isize * a.layout.col_step)
                            as usize]
                    })
                    .collect();
                let w: Vec<f16> = (0..k)
                    .map(|p| {
                        b.data[(*sb as isize
                            + p as isize * b.layout.row_step
                            + j as isize * b.layout.col_step)
                            as usize]
                    })
                    .collect();
                let start = match &bias {
                    Bias::None => f16::ZERO,
                    Bias::PerRow(v) => v[(g * m) % v.len() + i],
                    Bias::PerColumn(v) => v[j],
                };
                out[i * n + j] = arithmetic.dot_from(start, &x, &w);
            }
        }
    }
}
