//! The functions of one and two numbers, as formulas over `f64`.

/// A function of one number; `a` and `b` stand for the operation's alpha and beta, `a` also for its
/// epsilon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the operations' names; `apply` is the definition
pub enum Unary {
    Abs,
    Acos,
    Asin,
    Atan,
    Ceil,
    ClampedRelu,
    Clip,
    Cos,
    Cosh,
    Elu,
    Erf,
    Exp,
    Exp2,
    Floor,
    GeluExact,
    GeluSigmoid,
    GeluTanh,
    Inverse,
    LeakyRelu,
    LinearActivation,
    Log,
    Relu,
    Relu6,
    Round,
    Rsqrt,
    ScaledTanh,
    Sigmoid,
    SigmoidHard,
    Sign,
    Silu,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Square,
    Tan,
    Tanh,
    Threshold,
    ThresholdedRelu,
}

impl Unary {
    /// The `gelu` of that mode.
    #[must_use]
    pub fn gelu(mode: &str) -> Option<Self> {
        match mode {
            "EXACT" => Some(Self::GeluExact),
            "TANH_APPROXIMATION" => Some(Self::GeluTanh),
            "SIGMOID_APPROXIMATION" => Some(Self::GeluSigmoid),
            _ => None,
        }
    }

    /// The epsilon of an operation that is given none, as coremltools sets it.
    #[must_use]
    pub fn default_epsilon(self) -> f64 {
        match self {
            Self::Log => 1e-45,
            Self::Rsqrt => 1e-12,
            Self::Inverse => 1e-4,
            _ => 0.0,
        }
    }

    /// The function.
    #[must_use]
    pub fn apply(self, x: f64, a: f64, b: f64) -> f64 {
        /// sqrt(2 / pi), of the tanh form of gelu (Hendrycks and Gimpel 2016).
        const GELU: f64 = 0.797_884_560_802_865_4;
        match self {
            Self::Abs => x.abs(),
            Self::Acos => x.acos(),
            Self::Asin => x.asin(),
            Self::Atan => x.atan(),
            Self::Ceil => x.ceil(),
            Self::ClampedRelu => (if x >= 0.0 { x } else { a * x }).min(b),
            Self::Clip => x.max(a).min(b),
            Self::Cos => x.cos(),
            Self::Cosh => x.cosh(),
            Self::Elu => {
                if x > 0.0 {
                    x
                } else {
                    a * x.exp_m1()
                }
            }
            Self::Erf => libm::erf(x),
            Self::Exp => x.exp(),
            Self::Exp2 => x.exp2(),
            Self::Floor => x.floor(),
            Self::GeluExact => 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Self::GeluSigmoid => x / (1.0 + (-1.702 * x).exp()),
            Self::GeluTanh => 0.5 * x * (1.0 + (GELU * (x + 0.044_715 * x * x * x)).tanh()),
            Self::Inverse => 1.0 / (x + a),
            Self::LeakyRelu => {
                if x >= 0.0 {
                    x
                } else {
                    a * x
                }
            }
            Self::LinearActivation => a * x + b,
            Self::Log => (x + a).ln(),
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Round => x.round_ties_even(),
            Self::Rsqrt => 1.0 / (x + a).sqrt(),
            Self::ScaledTanh => a * (b * x).tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::SigmoidHard => (a * x + b).clamp(0.0, 1.0),
            Self::Sign => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Sin => x.sin(),
            Self::Sinh => x.sinh(),
            // log(1 + e^x) without overflow.
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Tan => x.tan(),
            Self::Tanh => x.tanh(),
            Self::Threshold => x.max(a),
            Self::ThresholdedRelu => {
                if x >= a {
                    x
                } else {
                    0.0
                }
            }
        }
    }
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the operations' names
pub enum Binary {
    Add,
    FloorDiv,
    Maximum,
    Minimum,
    Mod,
    Mul,
    Pow,
    RealDiv,
    Sub,
}

impl Binary {
    /// The function. `mod` has the sign of the divisor.
    #[must_use]
    pub fn apply(self, x: f64, y: f64) -> f64 {
        match self {
            Self::Add => x + y,
            Self::FloorDiv => (x / y).floor(),
            Self::Maximum => x.max(y),
            Self::Minimum => x.min(y),
            Self::Mod => x - (x / y).floor() * y,
            Self::Mul => x * y,
            Self::Pow => x.powf(y),
            Self::RealDiv => x / y,
            Self::Sub => x - y,
        }
    }
}

/// A comparison, or a function of two booleans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the operations' names
pub enum Compare {
    And,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    NotEqual,
    Or,
    Xor,
}

impl Compare {
    /// Whether it holds. Booleans are 0 and 1.
    #[must_use]
    pub fn apply(self, x: f64, y: f64) -> bool {
        match self {
            Self::And => x != 0.0 && y != 0.0,
            Self::Equal => x == y,
            Self::Greater => x > y,
            Self::GreaterEqual => x >= y,
            Self::Less => x < y,
            Self::LessEqual => x <= y,
            Self::NotEqual => x != y,
            Self::Or => x != 0.0 || y != 0.0,
            Self::Xor => (x != 0.0) != (y != 0.0),
        }
    }
}

/// What folds axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the operations' names
pub enum Reduce {
    L1Norm,
    L2Norm,
    LogSum,
    LogSumExp,
    Max,
    Mean,
    Min,
    Prod,
    Sum,
    SumSquare,
}
