// SPDX-License-Identifier: Apache-2.0
// The loop over the filters of a bank that are to be fitted.
#include "tools/adapters/filters/filter_fits.hpp"

#include "formats/stream/frame.hpp"
#include "libcore/base/error.hpp"
#include "libcore/systems/error_norms.hpp"
#include "libcore/systems/hankel.hpp"
#include "tools/adapters/filters/filter_names.hpp"
#include "tools/adapters/filters/fit_checkpoint.hpp"
#include "tools/adapters/model/model_config.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

#include <time.h>

namespace stillhouse::adapters {

namespace {

double processor_seconds()
{
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

bool finite(std::span<const double> h)
{
    return std::all_of(h.begin(), h.end(), [](double x) { return std::isfinite(x); });
}

/// XXH3-64 of a key and numbers, by their bits.
std::uint64_t hash(std::span<const double> values, std::uint64_t key)
{
    formats::frame::Hash all;
    all.update(&key, sizeof key);
    all.update(values.data(), values.size_bytes());
    return std::bit_cast<std::uint64_t>(all.digest());
}

/// Orders to fit; of a tolerance the largest that may be tried.
std::vector<Index> orders_of(const FitPlan& plan, const FilterBank& bank)
{
    if (plan.tolerance) {
        return {plan.max_order};
    }
    if (!plan.orders.empty()) {
        return plan.orders;
    }
    Index trained = 0;
    for (const systems::ModalSystem& system : bank.trained) {
        trained = std::max(trained, system.order());
    }
    const Index most = std::max<Index>((bank.length - plan.taps(bank)) / 2, 1);
    return {trained > 0 ? trained : std::min<Index>(16, most)};
}

/// The fits of one bank.
class BankFits {
public:
    BankFits(const FitPlan& plan, const FilterBank& bank, const Control& control)
        : plan_(plan), bank_(bank), control_{control.stop, nullptr}, orders_(orders_of(plan, bank))
    {
    }
    std::size_t orders() const { return orders_.size(); }

    std::span<const double> filter(Index i) const
    {
        return {bank_.values.data() + i * bank_.length, static_cast<std::size_t>(bank_.length)};
    }

    std::vector<FitResult> alone(Index i) const
    {
        const std::span<const double> h = filter(i);
        systems::FitOptions options = options_of(i);
        if (!bank_.trained.empty()) {
            options.start = bank_.trained[static_cast<std::size_t>(i)];
        }
        std::vector<FitResult> results;
        if (plan_.tolerance) {
            results.push_back(attempt(orders_[0], i, [&] {
                return systems::fit_to_tolerance(h, *plan_.tolerance, plan_.max_order, options, control_);
            }));
        } else if (orders_.size() > 1) {
            results = together(h, options);
        }
        if (results.empty()) {
            for (const Index order : orders_) {
                options.order = order;
                results.push_back(attempt(order, i, [&] { return systems::fit_modal(h, options, control_); }));
            }
        }
        add_bounds(i, results);
        return results;
    }

    /// Of filters from .. from + group - 1 with common poles. Bad and zero filters have no say in them.
    std::vector<std::vector<FitResult>> shared(Index from) const
    {
        std::vector<std::vector<FitResult>> results(static_cast<std::size_t>(bank_.group));
        std::vector<Index> members;
        std::vector<double> values;
        for (Index i = from; i < from + bank_.group; ++i) {
            const std::span<const double> h = filter(i);
            const std::span<const double> tail =
                h.subspan(std::min(h.size(), static_cast<std::size_t>(plan_.taps(bank_))));
            if (finite(h) && std::any_of(tail.begin(), tail.end(), [](double x) { return x != 0.0; })) {
                members.push_back(i);
                values.insert(values.end(), h.begin(), h.end());
            } else {
                results[static_cast<std::size_t>(i - from)] = alone(i);      // its refusal, or the fit of nothing
            }
        }
        if (members.empty()) {
            return results;
        }
        for (const Index order : plan_.tolerance ? tolerance_orders() : orders_) {
            const std::vector<FitResult> fits = fit_members(members, values, order);
            const bool good = !plan_.tolerance || std::all_of(fits.begin(), fits.end(), [&](const FitResult& r) {
                return r.fit && r.fit->error <= *plan_.tolerance;
            });
            for (std::size_t k = 0; k < members.size(); ++k) {
                std::vector<FitResult>& of_row = results[static_cast<std::size_t>(members[k] - from)];
                if (plan_.tolerance) {
                    of_row.clear();
                }
                of_row.push_back(fits[k]);
            }
            if (plan_.tolerance && good) {
                break;
            }
        }
        for (const Index i : members) {
            add_bounds(i, results[static_cast<std::size_t>(i - from)]);
        }
        return results;
    }

private:
    systems::FitOptions options_of(Index i) const
    {
        systems::FitOptions options = plan_.options;
        options.order = orders_[0];
        options.fir_taps = plan_.taps(bank_);
        const std::span<const double> weights = plan_.weights.of(bank_, bank_.first + i);
        options.weights.assign(weights.begin(), weights.end());
        for (Index t = 0; plan_.weighs_by_lag && t < bank_.length; ++t) {
            options.weights.push_back(static_cast<double>(std::max<Index>(t - options.fir_taps + 1, 0)));
        }
        return options;
    }

    /// What `make` returns, or why it refuses the filter.
    template <class Make>
    FitResult attempt(Index order, Index i, Make&& make) const
    {
        FitResult result;
        result.asked = order;
        const double begin = processor_seconds();
        try {
            result.fit = make();
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data && error.code() != ErrorCode::unsupported) {
                throw;
            }
            result.refusal = label(bank_, i) + ": " + error.what();
        }
        result.seconds = processor_seconds() - begin;
        return result;
    }

    static void divide_seconds(double seconds, std::vector<FitResult>& results)
    {
        for (FitResult& result : results) {
            result.seconds = seconds / static_cast<double>(results.size());
        }
    }

    /// Several orders from common work; nothing when one of them is refused.
    std::vector<FitResult> together(std::span<const double> h, const systems::FitOptions& options) const
    {
        std::vector<FitResult> results;
        const double begin = processor_seconds();
        try {
            for (systems::Fit& fit : systems::fit_orders(h, orders_, options, control_)) {
                FitResult& result = results.emplace_back();
                result.asked = orders_[results.size() - 1];
                result.fit = std::move(fit);
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data && error.code() != ErrorCode::unsupported) {
                throw;
            }
            return {};
        }
        divide_seconds(processor_seconds() - begin, results);
        return results;
    }

    std::vector<Index> tolerance_orders() const
    {
        std::vector<Index> orders;
        for (Index d = 2; d <= std::max<Index>(2, std::min(plan_.max_order, (bank_.length - plan_.taps(bank_)) / 2));
             d += 2) {
            orders.push_back(d);
        }
        return orders;
    }

    std::vector<FitResult> fit_members(const std::vector<Index>& members, const std::vector<double>& values,
                                       Index order) const
    {
        systems::FitOptions options = options_of(members[0]);
        options.order = order;
        std::vector<FitResult> results;
        const double begin = processor_seconds();
        try {
            for (systems::Fit& fit : systems::fit_shared(values, bank_.length, options, control_)) {
                FitResult& result = results.emplace_back();
                result.asked = order;
                result.fit = std::move(fit);
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::bad_data && error.code() != ErrorCode::unsupported) {
                throw;
            }
            results.clear();
            for (const Index i : members) {
                FitResult& result = results.emplace_back();
                result.asked = order;
                result.refusal = label(bank_, i) + ": " + error.what();
            }
        }
        divide_seconds(processor_seconds() - begin, results);
        return results;
    }

    void add_bounds(Index i, std::vector<FitResult>& results) const
    {
        std::vector<Index> orders;
        for (const FitResult& r : results) {
            if (r.fit) {
                orders.push_back(std::max(r.asked, r.fit->system.order()));
                if (plan_.tolerance) {
                    orders.back() = r.fit->system.order();
                }
            }
        }
        if (plan_.norms) {
            add_norms(i, results);
        }
        if (!plan_.bounds || orders.empty()) {
            return;
        }
        const double begin = processor_seconds();
        // two steps of ascent: the proof takes no longer than the fit; hankel-spectrum takes more
        const std::vector<double> bounds = systems::l2_lower_bounds(
            filter(i).subspan(static_cast<std::size_t>(plan_.taps(bank_) - 1)), orders, control_, {.steps = 2});
        const double seconds = (processor_seconds() - begin) / static_cast<double>(orders.size());
        std::size_t k = 0;
        for (FitResult& r : results) {
            if (r.fit) {
                r.bound = bounds[k++];
                r.bound_seconds = seconds;
            }
        }
    }

    void add_norms(Index i, std::vector<FitResult>& results) const
    {
        const std::span<const double> h = filter(i);
        Index most = 0;
        for (const FitResult& r : results) {
            most = std::max(most, r.fit ? r.asked : 0);
        }
        const systems::Spectrum spectrum =
            finite(h) ? systems::hankel_spectrum(h.subspan(static_cast<std::size_t>(plan_.taps(bank_) - 1)),
                                                 {most + 1, systems::HankelOperator::zero, bank_.dtype}, control_)
                      : systems::Spectrum{};
        for (FitResult& r : results) {
            if (!r.fit) {
                continue;
            }
            const systems::ErrorNorms norms = systems::error_norms(h, r.fit->system, control_);
            const std::size_t next = static_cast<std::size_t>(plan_.tolerance ? r.fit->system.order() : r.asked);
            r.h2 = norms.h2;
            r.hankel = norms.hankel;
            if (next < spectrum.sigma.size() && spectrum.sigma[0] > 0.0) {
                r.nearest = spectrum.sigma[next] / spectrum.sigma[0];
            }
        }
    }

    const FitPlan& plan_;
    const FilterBank& bank_;
    Control control_;                                    // progress is told a filter, not within one
    std::vector<Index> orders_;
};

}  // namespace

Index rows_sharing(Sharing sharing, const std::string& config, const std::string& name, Index rows)
{
    if (sharing != Sharing::head) {
        return sharing == Sharing::none ? 1 : std::max<Index>(rows, 1);
    }
    if (config.empty()) {
        throw_error(ErrorCode::bad_argument, "--share head: no config.json before this tensor says which filters are "
                                             "of one head; take the stream of a student, or --share layer");
    }
    const models::NetworkConfig network = network_config(std::string_view(config));
    Index layer = -1;                                    // layers.N.mixer.filter
    if (name.starts_with("layers.")) {
        std::from_chars(name.data() + 7, name.data() + name.size(), layer);
    }
    if (layer < 0 || layer >= network.layers) {
        throw_error(ErrorCode::bad_argument, "--share head: the tensor belongs to no layer of config.json; take "
                                             "--share layer");
    }
    // Channel c of n uses filter c * filters / n; kept heads have no channels here.
    const models::MixerConfig& mixer = network.mixers[static_cast<std::size_t>(layer)];
    const Index stages = std::max<Index>(mixer.order - 1, 1);
    const Index heads = network.heads - static_cast<Index>(mixer.kept_heads.size());
    const Index filters = rows / stages;
    return heads > 0 && filters > heads && filters % heads == 0 && rows % stages == 0 ? filters / heads : 1;
}

LagWeights::LagWeights(formats::Fd file) : path_(file.name())
{
    const formats::Tensor tensor = formats::read_npy(file, "weights");
    const Shape& shape = tensor.header.shape;
    if (shape.empty() || shape.size() > 2 || is_complex(tensor.header.dtype)) {
        throw_error(ErrorCode::bad_data, path_ + ": found " + to_string(shape) +
                    ", expected weights [L] or [filters, L]");
    }
    rows_ = shape.size() == 2 ? shape[0] : 1;
    each_ = shape.size() == 2;
    length_ = shape.back();
    values_.resize(static_cast<std::size_t>(rows_ * length_));
    convert_from(tensor.header.dtype, tensor.data.data(), rows_ * length_, values_.data());
    for (std::size_t i = 0; i < values_.size(); ++i) {
        if (!std::isfinite(values_[i]) || values_[i] < 0.0) {
            throw_error(ErrorCode::bad_data, path_ + ": found the weight " + std::to_string(values_[i]) + " at lag " +
                        std::to_string(i % static_cast<std::size_t>(length_)) + ", expected finite weights >= 0");
        }
    }
}

std::span<const double> LagWeights::of(const FilterBank& bank, Index row) const
{
    if (path_.empty()) {
        return {};
    }
    if (length_ != bank.length || (each_ && rows_ != bank.total)) {
        throw_error(ErrorCode::bad_data, path_ + ": found weights " +
                    to_string(each_ ? Shape{rows_, length_} : Shape{length_}) + " for the filters " +
                    to_string({bank.total, bank.length}) + " of tensor " + bank.name);
    }
    return {values_.data() + (each_ ? row * length_ : 0), static_cast<std::size_t>(length_)};
}

std::vector<double> read_spectrum(formats::Fd file)
{
    const formats::Tensor tensor = formats::read_npy(file, "spectrum");
    const Shape& shape = tensor.header.shape;
    if (shape.size() != 1 || shape[0] < 2 || is_complex(tensor.header.dtype)) {
        throw_error(ErrorCode::bad_data, file.name() + ": found " + to_string(shape) +
                    ", expected the power at two or more frequencies from 0 to pi, [F]");
    }
    std::vector<double> power(static_cast<std::size_t>(shape[0]));
    convert_from(tensor.header.dtype, tensor.data.data(), shape[0], power.data());
    for (std::size_t f = 0; f < power.size(); ++f) {
        if (!std::isfinite(power[f]) || power[f] < 0.0) {
            throw_error(ErrorCode::bad_data, file.name() + ": the power at frequency " + std::to_string(f) +
                        " is not a finite number >= 0");
        }
    }
    return power;
}

std::string fingerprint(const FitPlan& plan)
{
    char digits[20];
    std::snprintf(digits, sizeof digits, "%016llx",
                  static_cast<unsigned long long>(hash(plan.options.input_spectrum, hash(plan.weights.all(), 1))));
    return digits;
}

systems::Fit refused_fit(Index taps)
{
    systems::Fit fit;
    fit.error = std::numeric_limits<double>::quiet_NaN();
    fit.system.fir.assign(static_cast<std::size_t>(taps), fit.error);
    return fit;
}

std::vector<FitResult> fit_bank(const FitPlan& plan, const FilterBank& bank, ThreadPool& pool,
                                FitCheckpoint* checkpoint, std::atomic<Index>& done, const Control& control)
{
    const BankFits fits(plan, bank, control);
    const Index group = bank.group;
    const Index before = done.load();
    const Index total = before + bank.to - bank.first;
    if (group > 1 && plan.weights.one_for_each()) {
        throw_error(ErrorCode::bad_argument, "weights [filters, L] and shared poles contradict; give weights [L]");
    }
    std::vector<std::vector<FitResult>> rows(static_cast<std::size_t>(bank.rows));
    pool.for_each(bank.rows / group, [&](Index task) {
        const Index from = task * group;
        std::uint64_t key = 0;
        for (Index i = from; i < from + group; ++i) {
            key = hash(plan.weights.of(bank, bank.first + i), hash(fits.filter(i), key + 1));
        }
        bool known = checkpoint != nullptr;
        for (Index i = from; known && i < from + group; ++i) {
            std::optional<std::vector<FitResult>> kept = checkpoint->find(bank.name, bank.first + i, key);
            known = kept && kept->size() == fits.orders();
            if (known) {
                for (FitResult& r : *kept) {
                    r.fit->system.fir.assign(fits.filter(i).begin(), fits.filter(i).begin() + plan.taps(bank));
                }
                rows[static_cast<std::size_t>(i)] = std::move(*kept);
            }
        }
        if (!known) {
            control.throw_if_stopped();
            std::vector<std::vector<FitResult>> made =
                group > 1 ? fits.shared(from) : std::vector<std::vector<FitResult>>{fits.alone(from)};
            for (Index i = from; i < from + group; ++i) {
                rows[static_cast<std::size_t>(i)] = std::move(made[static_cast<std::size_t>(i - from)]);
                if (checkpoint != nullptr) {
                    checkpoint->add(bank.name, bank.first + i, key, rows[static_cast<std::size_t>(i)]);
                }
            }
        }
        control.at(done.fetch_add(group) + group, total, bank.name);
    });
    std::vector<FitResult> results;
    for (std::vector<FitResult>& row : rows) {
        std::move(row.begin(), row.end(), std::back_inserter(results));
    }
    return results;
}

}  // namespace stillhouse::adapters
