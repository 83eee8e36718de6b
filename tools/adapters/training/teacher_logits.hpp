// SPDX-License-Identifier: Apache-2.0
// Rows of tokens with the logits that a teacher gave them, from a stream of teacher-dump --show logits.
#pragma once

#include "formats/stream/reader.hpp"
#include "tools/adapters/training/training_rows.hpp"

namespace stillhouse::adapters {

/// The batches of a dump, with all logits or the largest (--top-k), as TrainingRows gives those of a text.
class TaughtRows {
public:
    using Open = std::function<formats::StreamReader(const std::string&)>;

    /// "-" can be read once. `vocabulary`: of the student. Error{bad_data}: no logits in it, another vocabulary.
    TaughtRows(std::string path, Open open, Index vocabulary);

    std::optional<training::TokenRows> next(bool again, const Control& control);
    void used() { position_ = {pass_, batch_, {}}; }
    const RowPosition& position() const { return position_; }
    void seek(RowPosition position);

    /// Gradient steps of `accumulate` batches: as asked for, by steps or by tokens, else a pass of a file (which is
    /// read once to count); -1 of a pipe.
    Index steps(std::optional<Index> asked, std::optional<Index> tokens, Index accumulate) const;
    /// History of the dump as JSON: what it was made by.
    const std::string& history() const { return history_; }

private:
    void begin();
    bool advance();                              // to a tensor of a batch; false at the verified end
    std::optional<training::TokenRows> read();

    std::string path_;
    Open open_;
    Index vocabulary_;
    std::unique_ptr<formats::StreamReader> reader_;
    std::string history_;
    RowPosition position_;
    Index pass_ = 0, batch_ = 0;                 // where the next batch is
};

}  // namespace stillhouse::adapters
