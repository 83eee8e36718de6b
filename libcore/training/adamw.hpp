// SPDX-License-Identifier: Apache-2.0
// AdamW (Loshchilov and Hutter 2019), the learning-rate schedules, and clipping by the global norm.
#pragma once

#include "libcore/base/parallel.hpp"
#include "libcore/models/parameters.hpp"

#include <map>
#include <string>

namespace stillhouse::training {

struct Schedule {
    enum class Shape { cosine, linear, constant };
    Shape shape = Shape::cosine;
    double peak = 1e-3;
    Index warmup = 0;                     // steps from 0 to the peak, linear
    Index steps = 0;                      // to the end (0: unknown; cosine and linear then stay at the peak)
    double floor = 0.0;                   // of the peak, at the end
    double at(Index step) const;          // step counts from 0
};

struct AdamWOptions {
    double beta1 = 0.9, beta2 = 0.98, epsilon = 1e-8;
    double weight_decay = 0.0;
    bool decay_all = false;               // else only matrices: names ending in ".weight", rank 2 and more
    /// Of single weights, by name: a factor of the learning rate, and a decay in place of the two above.
    std::map<std::string, double, std::less<>> rate_factors = {}, decays = {};
};

/// m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, w <- (1 - r decay) w - r m' / (sqrt(v') + epsilon), where m' and
/// v' are m and v over 1 - b^steps, and r is the rate times the factor of this weight.
/// First and second moments are kept in Parameters with the names of the weights they belong to.
template <class T>
class AdamW {
public:
    AdamW(const models::Parameters<T>& trained, AdamWOptions options);   // moments for every entry of `trained`
    /// One step on the entries of `gradient`; weights of the same name are updated.
    void step(ThreadPool& pool, const models::Parameters<T>& gradient, double rate, models::Parameters<T>& weights);
    Index steps() const { return steps_; }
    void resume_at(Index steps) { steps_ = steps; }      // with both moments restored, as if these had been taken
    models::Parameters<T>& first() { return first_; }
    models::Parameters<T>& second() { return second_; }

private:
    AdamWOptions options_;
    models::Parameters<T> first_, second_;
    Index steps_ = 0;
};

/// Scales the gradient to the norm `limit` if it is longer (limit 0: never); returns the norm before, summed in
/// double in a fixed order.
template <class T>
double clip(ThreadPool& pool, models::Parameters<T>& gradient, double limit);

}  // namespace stillhouse::training
