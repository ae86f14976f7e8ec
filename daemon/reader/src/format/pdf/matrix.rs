//! From one space of a page to another (ISO 32000-1, 8.3).

use lopdf::Object;
use lopdf::content::Operation;

/// `[a b 0; c d 0; e f 1]`, for rows.
#[derive(Debug, Clone, Copy)]
pub struct Matrix {
    pub a: f32,
    pub b: f32,
    pub c: f32,
    pub d: f32,
    pub e: f32,
    pub f: f32,
}

impl Matrix {
    /// Changes nothing.
    pub const ONE: Matrix = Matrix {
        a: 1.0,
        b: 0.0,
        c: 0.0,
        d: 1.0,
        e: 0.0,
        f: 0.0,
    };

    /// Moves.
    pub fn moved(e: f32, f: f32) -> Matrix {
        Matrix { e, f, ..Matrix::ONE }
    }

    /// The operands of `cm` and `Tm`.
    pub fn of(operation: &Operation) -> Matrix {
        Matrix::from_values(&operation.operands)
    }

    /// Six numbers; what is missing is 0.
    pub fn from_values(values: &[Object]) -> Matrix {
        let at = |index: usize| values.get(index).and_then(|value| value.as_float().ok()).unwrap_or(0.0);
        Matrix {
            a: at(0),
            b: at(1),
            c: at(2),
            d: at(3),
            e: at(4),
            f: at(5),
        }
    }

    /// First this, then `next`.
    pub fn then(&self, next: &Matrix) -> Matrix {
        Matrix {
            a: self.a * next.a + self.b * next.c,
            b: self.a * next.b + self.b * next.d,
            c: self.c * next.a + self.d * next.c,
            d: self.c * next.b + self.d * next.d,
            e: self.e * next.a + self.f * next.c + next.e,
            f: self.e * next.b + self.f * next.d + next.f,
        }
    }
}
