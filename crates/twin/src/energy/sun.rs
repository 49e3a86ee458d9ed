//! Where the sun stands and what comes down from a clear sky, in solar time. It knows no clouds.

/// Cosine of the sun's angle from the vertical at this latitude (degrees), day of the year (1 is
/// 1 January) and hour of solar time; negative at night. Declination: Cooper (1969); Duffie and
/// Beckman, "Solar Engineering of Thermal Processes", equations 1.6.1a and 1.6.5.
pub fn cos_zenith(latitude: f64, day_of_year: f64, solar_hour: f64) -> f64 {
    let declination = declination(day_of_year).to_radians();
    let latitude = latitude.to_radians();
    let hour_angle = (15.0 * (solar_hour - 12.0)).to_radians();
    latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * hour_angle.cos()
}

/// Irradiance of a clear sky on level ground, W/m²: 1098 cos z exp(-0.059 / cos z) (Haurwitz 1945,
/// with the constants of Sandia report SAND2012-2389).
pub fn clear_sky(cos_zenith: f64) -> f64 {
    if cos_zenith > 0.0 { 1098.0 * cos_zenith * (-0.059 / cos_zenith).exp() } else { 0.0 }
}

fn declination(day_of_year: f64) -> f64 {
    23.45 * (360.0 * (284.0 + day_of_year) / 365.0).to_radians().sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sun_stands_where_duffie_and_beckman_say() {
        // Examples 1.6.1 and 1.6.2: 13 February at 9:30 and 1 July at 18:30, latitude 43°.
        assert!((declination(44.0) + 14.0).abs() < 0.1);
        for (day, hour, zenith) in [(44.0, 9.5, 66.5), (182.0, 18.5, 79.6)] {
            let got = cos_zenith(43.0, day, hour).acos().to_degrees();
            assert!((got - zenith).abs() < 0.1, "{got}");
        }
    }

    #[test]
    fn a_clear_sky_gives_the_values_that_pvlib_tests_against() {
        for (elevation, irradiance) in [
            (-20.0, 0.0),
            (5.0, 48.629_868),
            (10.0, 135.741_748),
            (30.0, 487.894_133),
            (50.0, 778.766_689),
            (90.0, 1_035.092_033),
        ] {
            let got = clear_sky(f64::sin(f64::to_radians(elevation)));
            assert!((got - irradiance).abs() < 0.01, "{elevation}: {got}");
        }
    }
}
