//! Python's arithmetic on 64-bit integers and doubles. None where Python would raise, give a complex number,
//! or need a larger integer.

/// A number as Python has it; truth values are integers, as in Python.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

use Number::{Float, Int};

/// An operation on one number.
#[derive(Clone, Copy)]
pub enum Unary {
    Negate,
    Absolute,
    Not,
    ToFloat,
    Truncate,
    Floor,
    Ceiling,
    Round,
    SquareRoot,
}

/// An operation on two numbers.
#[derive(Clone, Copy)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    Minimum,
    Maximum,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
}

/// What `bool()` says.
pub fn truth(number: Number) -> bool {
    match number {
        Int(integer) => integer != 0,
        Float(float) => float != 0.0,
    }
}

/// An integer as Python's `float()` rounds it.
#[allow(clippy::cast_precision_loss)]
fn rounded(integer: i64) -> f64 {
    integer as f64
}

fn to_float(number: Number) -> f64 {
    match number {
        Int(integer) => rounded(integer),
        Float(float) => float,
    }
}

/// A float without a fraction as an integer.
fn to_integer(float: f64) -> Option<Number> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&float).then_some(Int(float as i64))
}

/// `left <=> right` without rounding either; None for nan.
fn compare(left: Number, right: Number) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Int(left), Int(right)) => Some(left.cmp(&right)),
        (Float(left), Float(right)) => left.partial_cmp(&right),
        (Int(left), Float(right)) => compare_mixed(left, right),
        (Float(left), Int(right)) => compare_mixed(right, left).map(std::cmp::Ordering::reverse),
    }
}

fn compare_mixed(integer: i64, float: f64) -> Option<std::cmp::Ordering> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if float.is_nan() {
        return None;
    }
    match to_integer(float.floor()) {
        Some(Int(floor)) => Some(match integer.cmp(&floor) {
            Equal if float.fract() != 0.0 => Less,
            order => order,
        }),
        _ => Some(if float > 0.0 { Less } else { Greater }),
    }
}

impl Unary {
    /// The result.
    pub fn apply(self, operand: Number) -> Option<Number> {
        Some(match (self, operand) {
            (Self::Negate, Int(value)) => Int(value.checked_neg()?),
            (Self::Negate, Float(value)) => Float(-value),
            (Self::Absolute, Int(value)) => Int(value.checked_abs()?),
            (Self::Absolute, Float(value)) => Float(value.abs()),
            (Self::Not, value) => Int(i64::from(!truth(value))),
            (Self::ToFloat, value) => Float(to_float(value)),
            (Self::Truncate | Self::Floor | Self::Ceiling | Self::Round, Int(value)) => Int(value),
            (Self::Truncate, Float(value)) => to_integer(value.trunc())?,
            (Self::Floor, Float(value)) => to_integer(value.floor())?,
            (Self::Ceiling, Float(value)) => to_integer(value.ceil())?,
            (Self::Round, Float(value)) => to_integer(value.round_ties_even())?,
            (Self::SquareRoot, value) => {
                let value = to_float(value);
                // `math.sqrt` raises for negative numbers.
                if value < 0.0 {
                    return None;
                }
                Float(value.sqrt())
            }
        })
    }
}

impl Binary {
    /// The result.
    #[inline]
    pub fn apply(self, left: Number, right: Number) -> Option<Number> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let integer = |holds: bool| Some(Int(i64::from(holds)));
        match self {
            Self::Less => integer(compare(left, right) == Some(Less)),
            Self::LessEqual => integer(matches!(compare(left, right), Some(Less | Equal))),
            Self::Equal => integer(compare(left, right) == Some(Equal)),
            Self::NotEqual => integer(compare(left, right) != Some(Equal)),
            Self::Greater => integer(compare(left, right) == Some(Greater)),
            Self::GreaterEqual => integer(matches!(compare(left, right), Some(Greater | Equal))),
            // As in Python: the operand itself, the first one on a tie.
            Self::Minimum => Some(if compare(right, left) == Some(Less) {
                right
            } else {
                left
            }),
            Self::Maximum => Some(if compare(right, left) == Some(Greater) {
                right
            } else {
                left
            }),
            Self::And => Some(if truth(left) { right } else { left }),
            Self::Or => Some(if truth(left) { left } else { right }),
            Self::Add | Self::Subtract | Self::Multiply => match (left, right) {
                (Int(left), Int(right)) => self.integers(left, right),
                _ => Some(Float(self.floats(to_float(left), to_float(right)))),
            },
            Self::Divide => divide(left, right),
            Self::FloorDivide => floor_divide(left, right),
            Self::Modulo => modulo(left, right),
            Self::Power => power(left, right),
            Self::BitAnd | Self::BitOr | Self::BitXor | Self::ShiftLeft | Self::ShiftRight => {
                match (left, right) {
                    (Int(left), Int(right)) => self.bits(left, right).map(Int),
                    _ => None,
                }
            }
        }
    }

    fn integers(self, left: i64, right: i64) -> Option<Number> {
        match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            _ => left.checked_mul(right),
        }
        .map(Int)
    }

    /// Python's operators on the bits of integers, which have infinitely many.
    fn bits(self, left: i64, right: i64) -> Option<i64> {
        match self {
            Self::BitAnd => Some(left & right),
            Self::BitOr => Some(left | right),
            Self::BitXor => Some(left ^ right),
            Self::ShiftLeft => (0..63)
                .contains(&right)
                .then(|| left.checked_mul(1 << right))
                .flatten(),
            _ => Some(left >> u32::try_from(right).ok()?.min(63)),
        }
    }

    fn floats(self, left: f64, right: f64) -> f64 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            _ => left * right,
        }
    }
}

/// Python's `/`. Integers that a double does not hold are divided exactly by Python, so not here.
fn divide(left: Number, right: Number) -> Option<Number> {
    const EXACT: u64 = 1 << 53;
    if let (Int(left), Int(right)) = (left, right)
        && (left.unsigned_abs() > EXACT || right.unsigned_abs() > EXACT)
    {
        return None;
    }
    let divisor = to_float(right);
    (divisor != 0.0).then(|| Float(to_float(left) / divisor))
}

fn floor_divide(left: Number, right: Number) -> Option<Number> {
    match (left, right) {
        (Int(left), Int(right)) => {
            let quotient = left.checked_div(right)?;
            let inexact = left.checked_rem(right)? != 0;
            Some(Int(if inexact && (left < 0) != (right < 0) {
                quotient - 1
            } else {
                quotient
            }))
        }
        _ => float_divmod(to_float(left), to_float(right)).map(|(quotient, _)| Float(quotient)),
    }
}

fn modulo(left: Number, right: Number) -> Option<Number> {
    match (left, right) {
        (Int(left), Int(right)) => {
            let remainder = left.checked_rem(right)?;
            Some(Int(if remainder != 0 && (remainder < 0) != (right < 0) {
                remainder + right
            } else {
                remainder
            }))
        }
        _ => float_divmod(to_float(left), to_float(right)).map(|(_, remainder)| Float(remainder)),
    }
}

/// Python's `divmod` of floats: the remainder has the divisor's sign, the quotient is a whole number.
fn float_divmod(left: f64, right: f64) -> Option<(f64, f64)> {
    if right == 0.0 {
        return None;
    }
    let mut remainder = left % right;
    let mut quotient = (left - remainder) / right;
    if remainder == 0.0 {
        remainder = 0.0_f64.copysign(right);
    } else if (right < 0.0) != (remainder < 0.0) {
        remainder += right;
        quotient -= 1.0;
    }
    let whole = if quotient == 0.0 {
        0.0_f64.copysign(left / right)
    } else {
        let floor = quotient.floor();
        if quotient - floor > 0.5 {
            floor + 1.0
        } else {
            floor
        }
    };
    Some((whole, remainder))
}

fn power(left: Number, right: Number) -> Option<Number> {
    if let (Int(left), Int(right)) = (left, right)
        && right >= 0
    {
        return left.checked_pow(u32::try_from(right).ok()?).map(Int);
    }
    let (base, exponent) = (to_float(left), to_float(right));
    // Python raises for a zero base, gives a complex number for a negative one, and raises on overflow.
    if base == 0.0 && exponent < 0.0 || base < 0.0 && exponent.fract() != 0.0 {
        return None;
    }
    let result = base.powf(exponent);
    (result.is_finite() || !base.is_finite() || !exponent.is_finite()).then_some(Float(result))
}
