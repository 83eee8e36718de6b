// SPDX-License-Identifier: Apache-2.0
// Means with their standard errors, and two models on the same items.
#include "libcore/evaluation/statistics.hpp"

#include "libcore/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace stillhouse::evaluation {

Estimate mean_of(const std::vector<double>& values)
{
    const auto n = static_cast<double>(values.size());
    double sum = 0.0;
    for (const double x : values) {
        sum += x;
    }
    const double mean = sum / n;
    double square = 0.0;
    for (const double x : values) {
        square += (x - mean) * (x - mean);
    }
    return {mean, values.size() > 1 ? std::sqrt(square / (n - 1.0) / n) : std::nan("")};
}

Estimate exponential(Estimate x)
{
    const double value = std::exp(x.value);
    return {value, value * x.standard_error};
}

double normal_two_sided(double z) { return std::erfc(std::fabs(z) / std::numbers::sqrt2); }

double mcnemar_exact(Index only_a, Index only_b)
{
    const Index n = only_a + only_b;
    const Index least = std::min(only_a, only_b);
    double sum = 0.0;
    double log_choose = 0.0;
    for (Index k = 0; k <= least; ++k) {
        sum += std::exp(log_choose - static_cast<double>(n) * std::numbers::ln2);
        log_choose += std::log(static_cast<double>(n - k)) - std::log(static_cast<double>(k + 1));
    }
    return std::min(1.0, 2.0 * sum);
}

Paired paired(const std::vector<double>& a, const std::vector<double>& b)
{
    STILLHOUSE_CHECK(a.size() == b.size());
    Paired result;
    std::vector<double> differences(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        differences[i] = a[i] - b[i];
        result.only_a += differences[i] > 0.0;
        result.only_b += differences[i] < 0.0;
    }
    const auto over = [&](double error) { return error > 0.0 ? result.difference.value / error : std::nan(""); };
    result.difference = mean_of(differences);
    result.unpaired_error = std::hypot(mean_of(a).standard_error, mean_of(b).standard_error);
    result.z = over(result.difference.standard_error);
    result.p = normal_two_sided(result.z);
    result.unpaired_z = over(result.unpaired_error);
    result.unpaired_p = normal_two_sided(result.unpaired_z);
    result.mcnemar_p = mcnemar_exact(result.only_a, result.only_b);
    return result;
}

}  // namespace stillhouse::evaluation
