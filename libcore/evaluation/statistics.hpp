// SPDX-License-Identifier: Apache-2.0
// Means with their standard errors, and two models on the same items.
#pragma once

#include "libcore/base/shape.hpp"

#include <vector>

namespace stillhouse::evaluation {

struct Estimate {
    double value = 0.0;
    double standard_error = 0.0;   // NaN where it is not defined (one item)
};

/// Mean, and sample standard deviation / sqrt(n); of zeros and ones sqrt(p (1 - p) / (n - 1)).
Estimate mean_of(const std::vector<double>& values);

/// exp of an estimate, to first order (delta method): exp(x) has the standard error exp(x) times that of x.
Estimate exponential(Estimate x);

/// P(|Z| >= |z|) of a standard normal Z.
double normal_two_sided(double z);

/// Exact two-sided McNemar: n = only_a + only_b fair coins, min(1, 2 P(X <= min(only_a, only_b))); 1 where n = 0.
double mcnemar_exact(Index only_a, Index only_b);

/// Two models on the same items, 1 where right: a - b.
struct Paired {
    Estimate difference;            // its standard error is that of the differences, sample deviation / sqrt(n)
    double unpaired_error = 0.0;    // sqrt(se_a^2 + se_b^2)
    double z = 0.0, p = 1.0;        // difference / its error, two-sided normal; NaN where the error is 0 or undefined
    double unpaired_z = 0.0, unpaired_p = 1.0;
    Index only_a = 0, only_b = 0;   // items that just one has right
    double mcnemar_p = 1.0;
};
Paired paired(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace stillhouse::evaluation
