// SPDX-License-Identifier: Apache-2.0
// End-to-end training from batches of tokens.
#include "tools/adapters/training/tuning.hpp"

#include "formats/glob.hpp"
#include "libcore/training/trainable.hpp"
#include "tools/adapters/training/loss_summary.hpp"
#include "tools/adapters/training/student_stream.hpp"

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

/// The present values of the weights that `trained` names.
template <class T>
models::Parameters<T> copies(const models::Network<T>& network, const models::Parameters<T>& trained)
{
    models::Parameters<T> kept;
    for (const auto& entry : trained) {
        kept.add(entry.name, entry.shape).values = network.weights().at(entry.name).values.clone();
    }
    return kept;
}

/// For its life the network has the averaged weights, where there is an average: what will be written is looked at.
template <class T>
class Averaged {
public:
    Averaged(models::Network<T>& network, training::EndToEndTrainer<T>& trainer) : network_(network), trainer_(trainer)
    {
        swap();
    }
    ~Averaged() { swap(); }
    Averaged(const Averaged&) = delete;
    Averaged& operator=(const Averaged&) = delete;

private:
    void swap()
    {
        for (auto& entry : trainer_.average()) {
            auto& values = network_.weights().at(entry.name).values;
            std::swap_ranges(values.begin(), values.end(), entry.values.begin());
        }
        if (trainer_.average().size() > 0) {
            network_.refresh();
        }
    }

    models::Network<T>& network_;
    training::EndToEndTrainer<T>& trainer_;
};

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

void check_teacher(const models::NetworkConfig& teacher, const models::NetworkConfig& student)
{
    if (teacher.vocabulary != student.vocabulary) {
        throw_error(ErrorCode::bad_data, "the teacher has " + std::to_string(teacher.vocabulary) +
                                             " logits, the student " + std::to_string(student.vocabulary));
    }
}

Index longest_filter(const models::NetworkConfig& config)
{
    Index longest = 0;
    for (const models::MixerConfig& mixer : config.mixers) {
        if (mixer.kind != models::MixerKind::attention && mixer.form != models::FilterForm::none) {
            longest = std::max(longest, mixer.filter_length);
        }
    }
    return longest;
}

void check_positions(Index context, const models::NetworkConfig& config, const std::string& who)
{
    const bool attends = std::any_of(config.mixers.begin(), config.mixers.end(), [](const auto& mixer) {
        return mixer.kind == models::MixerKind::attention || !mixer.kept_heads.empty();
    });
    if (attends && context > config.max_positions) {
        throw_error(ErrorCode::bad_argument, "--context " + std::to_string(context) + ": the attention of the " + who +
                                                 " has positions for " + std::to_string(config.max_positions) +
                                                 "; give shorter rows");
    }
}

template <class T>
void tune(models::Network<T>& network, training::EndToEndTrainer<T>& trainer, const models::Network<T>* teacher,
          const RowFeed& feed, const TuningPlan& plan, Tuned<T>& done, TrainingWatch& watch,
          const std::function<void(const std::string&)>& say, const Control& control)
{
    const auto look = [&] {
        if (!plan.valid || done.looked()) {
            return;
        }
        const double before = cpu_seconds();
        const Averaged<T> averaged(network, trainer);
        const auto scores = evaluation::score<T>(network, evaluation::Mode::parallel, nullptr, plan.valid->tokens,
                                                 plan.valid->windows, control);
        const double perplexity = std::exp(scores.mean());
        done.valid.emplace_back(done.steps, perplexity);
        say("step " + std::to_string(done.steps) + ": perplexity " + std::to_string(perplexity));
        watch.looked(done.steps, perplexity, cpu_seconds() - before);
        if (done.best_look < 0 || perplexity < done.valid[static_cast<std::size_t>(done.best_look)].second) {
            done.best_look = static_cast<Index>(done.valid.size()) - 1;
            if (plan.patience > 0) {
                done.best = copies(network, trainer.optimizer().first());
            }
        }
    };
    const Index every = plan.steps > 0 ? std::max<Index>(1, plan.steps / 10) : 100;
    bool usable = done.steps > 0;                // the pass over the data has had a row of two tokens

    while (true) {
        if (done.steps % every == 0) {
            look();
        }
        if ((plan.steps >= 0 && done.steps >= plan.steps) ||
            (plan.patience > 0 && done.looks_since_best() >= plan.patience)) {
            break;
        }
        std::vector<training::TokenRows> pieces;
        Index tokens = 0;
        while (static_cast<Index>(pieces.size()) < plan.accumulate) {
            control.throw_if_stopped();
            auto rows = feed.next(false);
            if (!rows && plan.steps >= 0 && usable) {
                usable = false;
                rows = feed.next(true);
            }
            if (!rows) {
                break;
            }
            if (rows->length > 1) {
                usable = true;
                tokens += rows->batch * rows->length;
                pieces.push_back(std::move(*rows));
            }
        }
        if (pieces.empty()) {
            break;
        }
        const double loss = TrainingWatch::guarded_step([&] { return trainer.step(pieces, teacher); });
        ++done.steps;
        done.tokens += tokens;
        done.losses.push_back(loss);
        feed.used();
        watch.stepped(done.steps, plan.steps, done.tokens, {&loss, 1}, plan.rate(done.steps - 1));
    }
    if (done.losses.empty() && plan.steps != 0) {
        throw_error(ErrorCode::bad_data, "no row of --text, --tokens or --dump has two tokens: there is "
                                         "nothing to train on; give a longer one");
    }
    TrainingWatch::require_finite(network.weights(), done.steps);
    look();
    trainer.use_average();
    for (auto& entry : done.best) {
        std::copy(entry.values.begin(), entry.values.end(), network.weights().at(entry.name).values.begin());
    }
    if (done.best.size() > 0) {
        network.refresh();
    }
}

template <class T>
void write_tuned(formats::StreamWriter writer, const Model<T>& model, models::Network<T>& network,
                 const std::vector<std::string>& changed, const Tuned<T>& done)
{
    const std::unordered_set<std::string_view> names(changed.begin(), changed.end());
    write_student<T>(writer, model.texts, network, model.inventory,
                     [&](std::string_view name) { return names.empty() || names.count(name) > 0; });
    formats::Note note;
    const LossSummary summary(done.losses);
    note.map = {{"about", "fine-tune"}, {"steps", done.steps}, {"tokens", done.tokens},
                {"loss_first", summary.first}, {"loss_last", summary.last}};
    formats::List valid;
    for (const auto& [step, perplexity] : done.valid) {
        valid.emplace_back(formats::Map{{"step", step}, {"perplexity", perplexity}});
    }
    note.map.emplace_back("valid", std::move(valid));
    writer.write(note);
    writer.finish();
}

template void tune<float>(models::Network<float>&, training::EndToEndTrainer<float>&, const models::Network<float>*,
                          const RowFeed&, const TuningPlan&, Tuned<float>&, TrainingWatch&,
                          const std::function<void(const std::string&)>&, const Control&);
template void tune<double>(models::Network<double>&, training::EndToEndTrainer<double>&,
                           const models::Network<double>*, const RowFeed&, const TuningPlan&, Tuned<double>&,
                           TrainingWatch&, const std::function<void(const std::string&)>&, const Control&);
template void write_tuned<float>(formats::StreamWriter, const Model<float>&, models::Network<float>&,
                                 const std::vector<std::string>&, const Tuned<float>&);
template void write_tuned<double>(formats::StreamWriter, const Model<double>&, models::Network<double>&,
                                  const std::vector<std::string>&, const Tuned<double>&);

}  // namespace stillhouse::adapters
