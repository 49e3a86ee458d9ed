//! Sums, differences and multiples of quantities that may have either sign.

/// Derives what a signed quantity that adds up needs: `+`, `-`, negation, multiples, parts, sums.
macro_rules! linear {
    ($quantity:ident) => {
        impl std::ops::Add for $quantity {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl std::ops::AddAssign for $quantity {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl std::ops::Sub for $quantity {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl std::ops::Neg for $quantity {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl std::ops::Mul<f64> for $quantity {
            type Output = Self;
            fn mul(self, times: f64) -> Self {
                Self(self.0 * times)
            }
        }
        impl std::ops::Div<f64> for $quantity {
            type Output = Self;
            fn div(self, parts: f64) -> Self {
                Self(self.0 / parts)
            }
        }
        impl std::iter::Sum for $quantity {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                // Not `sum`, whose empty sum is -0.
                Self(iter.fold(0.0, |sum, one| sum + one.0))
            }
        }
        impl $quantity {
            /// The higher of the two.
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The lower of the two.
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }
    };
}

pub(crate) use linear;
