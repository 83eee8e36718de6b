// SPDX-License-Identifier: Apache-2.0
// The stream of a teacher-dump through a layer-wise training.
#include "tools/adapters/training/distillation.hpp"

#include "tools/adapters/training/loss_summary.hpp"
#include "tools/adapters/training/student_stream.hpp"

#include <deque>

namespace stillhouse::adapters {

namespace {

/// Tokens that the last teacher-dump of the history was asked for; 0: it went to the end of its text.
Index tokens_asked_for(const formats::List& history)
{
    for (auto entry = history.rbegin(); entry != history.rend(); ++entry) {
        const formats::Value* tool = entry->find("tool");
        if (tool == nullptr || *tool != formats::Value("teacher-dump")) {
            continue;
        }
        const formats::Value* settings = entry->find("settings");
        const formats::Value* limit = settings != nullptr ? settings->find("limit") : nullptr;
        return limit != nullptr && !limit->is_null() ? limit->integer() : 0;
    }
    return 0;
}

/// First and last loss of a layer over the steps that trained it.
LossSummary summary_of(const std::vector<double>& losses, std::size_t layers, std::size_t layer)
{
    std::vector<double> own;
    for (std::size_t i = layer; i < losses.size(); i += layers) {
        if (losses[i] > 0.0) {
            own.push_back(losses[i]);
        }
    }
    return LossSummary(own);
}

}  // namespace

template <class T>
Distillation<T>::Distillation(std::string path, Open open, const Notice& notice, Bad bad, Index epochs)
    : path_(std::move(path)), open_(std::move(open)), bad_(bad), epochs_(epochs)
{
    source_ = std::make_unique<ModelSource>(ModelSource::stream(open_(path_), notice));
    model = source_->load<T>(ModelSource::Others::keep, ModelSource::Activations::leave);
    teacher = model.config;
    formats::StreamReader* reader = source_->activations();
    if (reader == nullptr) {
        throw Error(ErrorCode::bad_data, "no activations follow the model: expected the stream of teacher-dump")
            .within(source_->name());
    }
    batches_ = std::make_unique<ActivationBatches<T>>(*reader, teacher.layers, teacher.width, bad);
}

template <class T>
bool Distillation<T>::begin_epoch()
{
    if (epoch_ + 1 >= epochs_) {
        return false;
    }
    ++epoch_;
    skipped_ += batches_->skipped();
    again_ = std::make_unique<formats::StreamReader>(open_(path_));
    while (again_->next() != formats::StreamReader::Frame::tensor || !again_->header().name.starts_with("batches.")) {
    }
    batches_ = std::make_unique<ActivationBatches<T>>(*again_, teacher.layers, teacher.width, bad_);
    return true;
}

template <class T>
std::optional<PlacedActivations<T>> Distillation<T>::read()
{
    return with_context(source_->name(), [&] { return batches_->next(); });
}

template <class T>
std::optional<PlacedActivations<T>> Distillation<T>::next()
{
    auto batch = read();
    while (!batch && begin_epoch()) {
        batch = read();
    }
    if (batch) {
        batch->at.epoch = epoch_;
    }
    return batch;
}

template <class T>
void Distillation<T>::keep(Index tokens)
{
    for (Index have = 0; have < tokens;) {
        auto batch = read();
        if (!batch) {
            break;
        }
        have += batch->values.size();
        kept_.push_back(std::move(*batch));
    }
    if (kept_.empty()) {
        throw Error(ErrorCode::bad_data, "holds no whole batch of activations; was teacher-dump run to its end?")
            .within(source_->name());
    }
}

template <class T>
Index Distillation<T>::kept_tokens() const
{
    Index tokens = 0;
    for (const auto& batch : kept_) {
        tokens += batch.values.size();
    }
    return tokens;
}

template <class T>
std::vector<training::Activations<T>> Distillation<T>::lend()
{
    if (std::all_of(kept_.begin(), kept_.end(), [](const auto& batch) { return batch.values.length == 1; })) {
        throw Error(ErrorCode::bad_data, "its rows are of one token, which has no past that a convolution could learn "
                                         "from; run teacher-dump with a longer --context, or on a longer text")
            .within(source_->name());
    }
    std::vector<training::Activations<T>> lent;
    for (auto& batch : kept_) {
        lent.push_back(std::move(batch.values));
    }
    return lent;
}

template <class T>
void Distillation<T>::take_back(std::vector<training::Activations<T>> kept)
{
    for (std::size_t i = 0; i < kept.size(); ++i) {
        kept_[i].values = std::move(kept[i]);
    }
}

template <class T>
void Distillation<T>::seek(const DumpPosition& position)
{
    epoch_ = position.epoch;
    batches_->seek(position);
}

template <class T>
Index Distillation<T>::expected_steps(FirstBatch first, Index rows, Index accumulate) const
{
    const Index a_step = (rows > 0 ? rows : first.rows) * first.length * accumulate;
    return tokens_asked_for(model.info.history) * epochs_ / a_step;
}

template <class T>
void Distillation<T>::train(training::LayerwiseTrainer<T>& trainer, const Pace& pace, Progressed& done,
                            TrainingWatch& watch, const Control& control)
{
    std::deque<PlacedActivations<T>> first(std::make_move_iterator(kept_.begin()),
                                           std::make_move_iterator(kept_.end()));
    kept_.clear();
    StepSource<T> source(
        [&]() -> std::optional<PlacedActivations<T>> {
            if (first.empty()) {
                return next();
            }
            auto batch = std::move(first.front());
            first.pop_front();
            return batch;
        },
        pace.rows, pace.accumulate, done.position);
    while (pace.most < 0 || done.steps < pace.most) {
        control.throw_if_stopped();
        const auto pieces = source.step();
        if (pieces.empty()) {
            break;
        }
        Index tokens = 0;
        std::vector<const training::Activations<T>*> views;
        for (const auto& piece : pieces) {
            tokens += piece.size();
            views.push_back(&piece);
        }
        const std::vector<double> losses = TrainingWatch::guarded_step([&] { return trainer.step(views); });
        ++done.steps;
        done.tokens += tokens;
        done.position = source.position();
        done.losses.insert(done.losses.end(), losses.begin(), losses.end());
        const Index total = pace.most >= 0 ? pace.most : std::max(pace.expected, done.steps);
        watch.stepped(done.steps, pace.most >= 0 || pace.expected > 0 ? total : -1, done.tokens, losses,
                      pace.rate(done.steps - 1));
    }
}

template <class T>
void Distillation<T>::finish()
{
    while (batches_->next()) {
    }
}

template <class T>
std::vector<std::string> Distillation<T>::layer_names() const
{
    std::vector<std::string> names;
    for (Index layer = 0; layer < teacher.layers; ++layer) {
        names.push_back("layer " + std::to_string(layer));
    }
    return names;
}

template <class T>
std::vector<formats::Map> layer_figures(const models::NetworkConfig& config,
                                        const std::vector<training::LayerReport>& start,
                                        const typename Distillation<T>::Progressed& done)
{
    std::vector<formats::Map> figures;
    for (std::size_t i = 0; i < config.mixers.size(); ++i) {
        if (config.mixers[i].kind == models::MixerKind::attention) {
            continue;
        }
        formats::Map of_layer{{"layer", static_cast<std::int64_t>(i)}};
        if (i < start.size()) {
            of_layer.emplace_back("explained_before", start[i].explained_before);
            of_layer.emplace_back("explained_after", start[i].explained_after);
        }
        if (done.steps > 0) {
            const LossSummary summary = summary_of(done.losses, config.mixers.size(), i);
            of_layer.emplace_back("loss_first", summary.first);
            of_layer.emplace_back("loss_last", summary.last);
            of_layer.emplace_back("explained_first", 1.0 - summary.first);
            of_layer.emplace_back("explained_last", 1.0 - summary.last);
        }
        figures.push_back(std::move(of_layer));
    }
    return figures;
}

template <class T>
void write_distilled(formats::StreamWriter writer, const Distillation<T>& work, models::Network<T>& student,
                     const std::vector<training::LayerReport>& start,
                     const typename Distillation<T>::Progressed& done)
{
    const auto replaced = [&](std::string_view name) { return name.find(".mixer.") != std::string_view::npos; };
    write_student<T>(writer, work.model.texts, student, work.model.inventory, replaced);
    for (formats::Map& figures : layer_figures<T>(student.config(), start, done)) {
        formats::Note note;
        note.map = std::move(figures);
        note.map.emplace(note.map.begin(), "about", "layer-distill");
        writer.write(note);
    }
    for (const auto& tensor : work.others()) {
        writer.write(tensor);
    }
    writer.finish();
}

template class Distillation<float>;
template class Distillation<double>;
template std::vector<formats::Map> layer_figures<float>(const models::NetworkConfig&,
                                                        const std::vector<training::LayerReport>&,
                                                        const Distillation<float>::Progressed&);
template std::vector<formats::Map> layer_figures<double>(const models::NetworkConfig&,
                                                         const std::vector<training::LayerReport>&,
                                                         const Distillation<double>::Progressed&);
template void write_distilled<float>(formats::StreamWriter, const Distillation<float>&, models::Network<float>&,
                                     const std::vector<training::LayerReport>&,
                                     const Distillation<float>::Progressed&);
template void write_distilled<double>(formats::StreamWriter, const Distillation<double>&, models::Network<double>&,
                                      const std::vector<training::LayerReport>&,
                                      const Distillation<double>::Progressed&);

}  // namespace stillhouse::adapters
