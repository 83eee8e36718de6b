// SPDX-License-Identifier: Apache-2.0
// Fits of the filters of a bank: which orders, which filters share their poles, which are refused.
#pragma once

#include "libcore/base/parallel.hpp"
#include "tools/adapters/filters/filters.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <vector>

namespace stillhouse::adapters {

class FitCheckpoint;

/// Which filters of a tensor have their poles in common.
enum class Sharing { none, head, layer };

/// Rows that must be fitted together. head: the filters of one head of the teacher, by the text of config.json; layer:
/// all rows of the tensor. Error{bad_argument}: no config.json tells of heads.
Index rows_sharing(Sharing sharing, const std::string& config, const std::string& name, Index rows);

/// Weights of lags for all filters, or one row for each: .npy [L] or [filters, L].
class LagWeights {
public:
    LagWeights() = default;
    explicit LagWeights(formats::Fd file);               // Error{bad_data}: shape, type

    bool one_for_each() const { return each_; }
    /// Of filter `row` of the whole tensor; empty: none given. Error{bad_data}: they do not fit the tensor.
    std::span<const double> of(const FilterBank& bank, Index row) const;
    std::span<const double> all() const { return values_; }

private:
    std::string path_;
    bool each_ = false;
    Index rows_ = 0, length_ = 0;
    std::vector<double> values_;
};

/// Power of the input at F equally spaced frequencies 0 .. pi: .npy [F]. Error{bad_data}.
std::vector<double> read_spectrum(formats::Fd file);

/// What is asked for of every filter.
struct FitPlan {
    systems::FitOptions options;                         // what all have in common
    std::vector<Index> orders;                           // ascending; empty: the order of the trained modes, or 16
    std::optional<double> tolerance;                     // instead: the smallest even order up to max_order
    Index max_order = 64;
    Index fir_taps = 1;                                  // at least; more where a delay says so
    Sharing sharing = Sharing::none;
    LagWeights weights;
    bool weighs_by_lag = false;                          // without weights: lag t counts t - K + 1 times, as often as
                                                         // it stands in the Hankel operator
    bool bounds = true;
    bool norms = false;                                  // the error in h2 and Hankel norm too

    /// First taps of the bank's fits. A single lag behind them shows no pole: it is a tap as well.
    Index taps(const FilterBank& bank) const
    {
        const Index taps = std::max(fir_taps, bank.delay + 1);
        return bank.length == taps + 1 ? bank.length : taps;
    }
};

struct FitResult {
    std::optional<systems::Fit> fit;                     // nothing: refused
    Index asked = 0;                                     // order; of a tolerance the largest allowed
    double bound = 0.0;                                  // certified, of the relative l2 error at this order
    double h2 = 0.0, hankel = 0.0;                       // relative error in these norms (norms)
    double nearest = 0.0;                                // sigma_{d+1} / sigma_1: no system has a smaller `hankel`
    double seconds = 0.0, bound_seconds = 0.0;           // processor time
    std::string refusal;
};

/// A hash, as hexadecimal digits, of the weights and the spectrum.
std::string fingerprint(const FitPlan& plan);

/// What stands for a refused filter in the stream: no mode, error NaN, and NaN for first taps, which realize-ssm
/// refuses.
systems::Fit refused_fit(Index taps);

/// The results of the bank's filters, row after row, of each row one an order. Bad data of one filter refuse that one
/// alone. Bit-identical for any number of threads. `checkpoint` (or null) gives what it has and takes what is new;
/// `done` counts filters for the progress over all banks.
std::vector<FitResult> fit_bank(const FitPlan& plan, const FilterBank& bank, ThreadPool& pool,
                                FitCheckpoint* checkpoint, std::atomic<Index>& done, const Control& control);

}  // namespace stillhouse::adapters
