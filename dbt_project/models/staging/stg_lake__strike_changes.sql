with source as (

    select * from {{ source('lake', 'strike_changes') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- what it tells
        strike,
        spot,
        reach_share,
        previous_at,
        first_at,
        position_contracts,
        gamma_exposure_usd_per_pct,
        pin_force_usd_per_pct,
        position_change_contracts,
        book_change_contracts,
        force_change_usd_per_pct,
        force_by_position_usd_per_pct,
        force_by_book_usd_per_pct,
        force_by_price_usd_per_pct,
        gamma_by_position_usd_per_pct,
        position_change_since_first_contracts,
        book_change_since_first_contracts,
        force_change_since_first_usd_per_pct,
        force_by_position_since_first_usd_per_pct,
        position_z,
        force_z,
        threshold_z,
        change_kind,
        is_changed,
        is_alert_candidate,
        alert_text,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
