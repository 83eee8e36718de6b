// SPDX-License-Identifier: Apache-2.0
// End-to-end training from batches of tokens.
#include "tools/adapters/tuning.hpp"

#include "formats/glob.hpp"
#include "libcore/training/trainable.hpp"
#include "tools/adapters/loss_summary.hpp"
#include "tools/adapters/student_stream.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace stillhouse::adapters {

namespace {

void require_match(const models::NetworkConfig& config, const char* option, const std::vector<std::string>& globs)
{
    const auto weights = models::network_weights(config);
    for (const auto& glob : globs) {
        const bool found = std::any_of(weights.begin(), weights.end(), [&](const auto& weight) {
            return formats::glob_matches(glob, weight.name);
        });
        if (!found) {
            throw_error(ErrorCode::bad_argument, std::string(option) + " " + glob +
                                                     " matches no weight; tensor-stream list shows their names");
        }
    }
}

template <class T>
models::Parameters<T> copies(const models::Network<T>& network)
{
    models::Parameters<T> kept;
    for (const auto& weight : models::network_weights(network.config())) {
        kept.add(weight.name, weight.shape).values = network.weights().at(weight.name).values.clone();
    }
    return kept;
}

}  // namespace

std::vector<std::string> trained_names(const models::NetworkConfig& config, const std::vector<std::string>& train,
                                       const std::vector<std::string>& freeze)
{
    require_match(config, "--train", train);
    require_match(config, "--freeze", freeze);
    const auto matches = [](const std::vector<std::string>& globs, const std::string& name) {
        return std::any_of(globs.begin(), globs.end(),
                           [&](const auto& glob) { return formats::glob_matches(glob, name); });
    };
    std::vector<std::string> names;
    for (const auto& weight : models::network_weights(config)) {
        const bool wanted = train.empty() ? training::trained_by_default(weight.name) : matches(train, weight.name);
        if (wanted && !matches(freeze, weight.name)) {
            names.push_back(weight.name);
        }
    }
    return names;
}

template <class T>
Tuned tune(models::Network<T>& network, training::EndToEndTrainer<T>& trainer, const models::Network<T>* teacher,
           const std::function<NextBatch()>& begin, const TuningPlan& plan,
           const std::function<void(const std::string&)>& say, const Control& control)
{
    NextBatch next = begin();
    Tuned done;
    std::vector<double> losses;
    models::Parameters<T> best;
    double best_perplexity = HUGE_VAL;
    Index looks_since = 0;
    bool began = false;                          // this pass over the batches has given something

    const auto look = [&] {
        if (!plan.valid) {
            return;
        }
        const auto scores = evaluation::score<T>(network, evaluation::Mode::parallel, nullptr, plan.valid->tokens,
                                                 plan.valid->windows, control);
        const double perplexity = std::exp(scores.mean());
        done.valid.emplace_back(done.steps, perplexity);
        say("step " + std::to_string(done.steps) + ": perplexity " + std::to_string(perplexity));
        ++looks_since;
        if (perplexity < best_perplexity) {
            best_perplexity = perplexity;
            looks_since = 0;
            if (plan.patience > 0) {
                best = copies(network);
            }
        }
    };
    const Index every = plan.steps > 0 ? std::max<Index>(1, plan.steps / 10) : 100;

    look();
    while ((plan.steps < 0 || done.steps < plan.steps) && (plan.patience == 0 || looks_since < plan.patience)) {
        control.throw_if_stopped();
        std::vector<training::TokenRows> pieces;
        while (static_cast<Index>(pieces.size()) < plan.accumulate) {
            auto batch = next();
            if (!batch && plan.steps >= 0 && began) {
                next = begin();
                began = false;
                continue;
            }
            if (!batch) {
                break;
            }
            began = true;
            if (batch->length > 1) {
                done.tokens += batch->rows * batch->length;
                pieces.push_back({batch->rows, batch->length, std::move(batch->tokens)});
            }
        }
        if (pieces.empty()) {
            break;
        }
        losses.push_back(trainer.step(pieces, teacher));
        ++done.steps;
        control.at(done.steps, plan.steps, "loss " + std::to_string(losses.back()));
        if (done.steps % every == 0) {
            look();
        }
    }
    if (losses.empty() && plan.steps != 0) {
        throw_error(ErrorCode::bad_data, "the text has no row of two tokens: there is nothing to train on");
    }
    trainer.use_average();
    if (plan.valid && done.valid.back().first != done.steps) {
        look();
    }
    for (auto& entry : best) {
        std::copy(entry.values.begin(), entry.values.end(), network.weights().at(entry.name).values.begin());
    }
    if (best.size() > 0) {
        network.refresh();
    }
    const LossSummary summary(losses);
    done.first_loss = summary.first;
    done.last_loss = summary.last;
    return done;
}

template <class T>
void write_tuned(formats::StreamWriter writer, const Model<T>& model, models::Network<T>& network,
                 const std::vector<std::string>& changed, const Tuned& done)
{
    const std::unordered_set<std::string_view> names(changed.begin(), changed.end());
    write_student<T>(writer, model.texts, network, model.inventory,
                     [&](std::string_view name) { return names.empty() || names.count(name) > 0; });
    formats::Note note;
    note.map = {{"about", "fine-tune"}, {"steps", done.steps}, {"tokens", done.tokens},
                {"loss_first", done.first_loss}, {"loss_last", done.last_loss}};
    formats::List valid;
    for (const auto& [step, perplexity] : done.valid) {
        valid.emplace_back(formats::Map{{"step", step}, {"perplexity", perplexity}});
    }
    note.map.emplace_back("valid", std::move(valid));
    writer.write(note);
    writer.finish();
}

template Tuned tune<float>(models::Network<float>&, training::EndToEndTrainer<float>&, const models::Network<float>*,
                           const std::function<NextBatch()>&, const TuningPlan&,
                           const std::function<void(const std::string&)>&, const Control&);
template Tuned tune<double>(models::Network<double>&, training::EndToEndTrainer<double>&,
                            const models::Network<double>*, const std::function<NextBatch()>&, const TuningPlan&,
                            const std::function<void(const std::string&)>&, const Control&);
template void write_tuned<float>(formats::StreamWriter, const Model<float>&, models::Network<float>&,
                                 const std::vector<std::string>&, const Tuned&);
template void write_tuned<double>(formats::StreamWriter, const Model<double>&, models::Network<double>&,
                                  const std::vector<std::string>&, const Tuned&);

}  // namespace stillhouse::adapters
